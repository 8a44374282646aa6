// The floor under every virtual machine on a host: open KVM, create a machine with one page of memory and one
// virtual processor, let it write 13 bytes to a port in real mode, halt, and exit. Nothing that a useful
// machine needs (no interrupt controller, no processor features, no long mode).
//
// Exit status: 0 if the 13 bytes arrived, 1 otherwise, with the step that failed on standard error.
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { START = 0x1000, PAGE = 0x1000, PORT = 0x3f8 };

// mov dx, PORT; mov si, text; next: lodsb; out dx, al; dec cx; jnz next; hlt
static const uint8_t code[] = {
    0xba, 0xf8, 0x03, 0xbe, 0x40, 0x10, 0xac, 0xee, 0x49, 0x75, 0xfb, 0xf4,
};
static const char text[] = "Hello, world\n";

static int failed(const char *step)
{
    perror(step);
    return 1;
}

int main(void)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm < 0)
        return failed("/dev/kvm");
    int vm = ioctl(kvm, KVM_CREATE_VM, 0);
    if (vm < 0)
        return failed("KVM_CREATE_VM");
    uint8_t *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return failed("mmap");
    memcpy(memory, code, sizeof(code));
    memcpy(memory + 0x40, text, sizeof(text) - 1);
    struct kvm_userspace_memory_region region = {
        .guest_phys_addr = START, .memory_size = PAGE, .userspace_addr = (uintptr_t)memory,
    };
    if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        return failed("KVM_SET_USER_MEMORY_REGION");

    int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (vcpu < 0 || size < 0)
        return failed("KVM_CREATE_VCPU");
    struct kvm_run *run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    if (run == MAP_FAILED)
        return failed("mmap of the virtual processor");
    struct kvm_sregs segments;
    if (ioctl(vcpu, KVM_GET_SREGS, &segments) < 0)
        return failed("KVM_GET_SREGS");
    segments.cs.base = 0;
    segments.cs.selector = 0;
    struct kvm_regs registers = { .rip = START, .rflags = 2, .rcx = sizeof(text) - 1 };
    if (ioctl(vcpu, KVM_SET_SREGS, &segments) < 0 || ioctl(vcpu, KVM_SET_REGS, &registers) < 0)
        return failed("KVM_SET_SREGS");

    char received[sizeof(text)] = "";
    size_t count = 0;
    for (;;) {
        if (ioctl(vcpu, KVM_RUN, 0) < 0)
            return failed("KVM_RUN");
        if (run->exit_reason == KVM_EXIT_IO && run->io.port == PORT && count < sizeof(text) - 1) {
            received[count++] = *((char *)run + run->io.data_offset);
        } else if (run->exit_reason == KVM_EXIT_HLT) {
            return strcmp(received, text) != 0;
        } else {
            fprintf(stderr, "unexpected exit %u\n", run->exit_reason);
            return 1;
        }
    }
}
