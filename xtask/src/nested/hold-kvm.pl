# Keeps two idle virtual machines for as long as the nested host lives, so that the kernel does not rewrite its
# own code whenever a machine under test comes or goes.
#
# KVM switches branches in the kernel on with the first machine and off with the last (static keys: preemption
# notifiers, processors without or with a disabled interrupt controller). The emulator may execute such a place
# while another processor rewrites it and then keep the intermediate form, a breakpoint, for ever; both processors
# end up taking breakpoints without end. With these machines no count ever returns to zero.
#
# Perl, because it is in every Debian system and can call ioctl.
use strict;
use warnings;

use constant { CREATE_VM => 0xAE01, CREATE_VCPU => 0xAE41, CREATE_IRQCHIP => 0xAE60 };

my @held;

# A file for a descriptor that an ioctl returned.
sub handle {
    my ($descriptor) = @_;
    open(my $file, '+<&=', $descriptor) or die "open: $!";
    push @held, $file;
    return $file;
}

open(my $kvm, '+<', '/dev/kvm') or die "/dev/kvm: $!";
for my $has_interrupt_controller (0, 1) {
    my $machine = handle(ioctl($kvm, CREATE_VM, 0) or die "KVM_CREATE_VM: $!");
    if ($has_interrupt_controller) {
        ioctl($machine, CREATE_IRQCHIP, 0) or die "KVM_CREATE_IRQCHIP: $!";
    }
    handle(ioctl($machine, CREATE_VCPU, 0) or die "KVM_CREATE_VCPU: $!");
}
print "held\n";
close(STDOUT);
sleep 3600 while 1;
