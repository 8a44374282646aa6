//! What the CPU can do, by the names that Linux gives it in the line `flags` of `/proc/cpuinfo`.
//!
//! Bits as in the Intel SDM (vol. 2A, CPUID) and the AMD APM (vol. 3, appendix E). What the program cannot use is left out: what belongs to
//! kernels alone, and what is switched off (AMX, protection keys).

use alloc::string::String;

/// Which register of a leaf's answer.
#[derive(Clone, Copy)]
enum Register {
    A = 0,
    B = 1,
    C = 2,
    D = 3,
}

/// Leaf, subleaf, register, and the names of its bits from bit 0 on; `-` has none.
type Word = (u32, u32, Register, &'static str);

const WORDS: [Word; 10] = [
    (
        1,
        0,
        Register::D,
        "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx fxsr sse sse2 ss ht tm ia64 pbe",
    ),
    (
        0x8000_0001,
        0,
        Register::D,
        "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm 3dnowext 3dnow",
    ),
    (0x8000_0007, 0, Register::D, "- - - - - - - - constant_tsc"),
    (
        1,
        0,
        Register::C,
        "pni pclmulqdq - monitor - - - - - ssse3 - - fma cx16 - - - pcid - sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c rdrand hypervisor",
    ),
    (
        0x8000_0001,
        0,
        Register::C,
        "lahf_lm cmp_legacy - extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw - xop - - - lwp fma4 tce - - - tbm topoext",
    ),
    (
        7,
        0,
        Register::B,
        "fsgsbase tsc_adjust - bmi1 hle avx2 - smep bmi2 erms invpcid rtm - - - - avx512f avx512dq rdseed adx smap avx512ifma - clflushopt clwb - avx512pf avx512er avx512cd sha_ni avx512bw avx512vl",
    ),
    (7, 1, Register::A, "- - - - avx_vnni avx512_bf16 - - - - fzrm fsrs fsrc - - - - - - - - - - avx_ifma"),
    (0xd, 1, Register::A, "xsaveopt xsavec xgetbv1 xsaves"),
    (
        7,
        0,
        Register::C,
        "- avx512vbmi umip - - waitpkg avx512_vbmi2 - gfni vaes vpclmulqdq avx512_vnni avx512_bitalg - avx512_vpopcntdq - - - - - - - rdpid - - cldemote - movdiri movdir64b",
    ),
    (
        7,
        0,
        Register::D,
        "- - avx512_4vnniw avx512_4fmaps fsrm - - - avx512_vp2intersect - - - - - serialize - tsxldtrk - - - - - - avx512_fp16",
    ),
];

/// The names, with a blank between them. `cpuid` asks the CPU: leaf and subleaf to EAX, EBX, ECX, EDX.
#[must_use]
pub fn names(cpuid: impl Fn(u32, u32) -> [u32; 4]) -> String {
    let mut text = String::from("cpuid");
    for (leaf, subleaf, register, names) in WORDS {
        let highest = cpuid(leaf & 0x8000_0000, 0)[0];
        // A leaf that is not there answers with another's bits; so does a subleaf of leaf 7.
        if leaf > highest || (leaf, subleaf) == (7, 1) && cpuid(7, 0)[0] == 0 {
            continue;
        }
        let bits = cpuid(leaf, subleaf)[register as usize];
        for (bit, name) in names.split(' ').enumerate() {
            if name != "-" && bits >> bit & 1 != 0 {
                text.push(' ');
                text.push_str(name);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_at_its_bit() {
        assert!(WORDS.iter().all(|(.., names)| names.split(' ').count() <= 32));
        let only = |leaf, register: usize, bit: u32| {
            names(move |asked, subleaf| {
                let mut answer = [0; 4];
                if asked & 0x7fff_ffff == 0 {
                    answer[0] = asked + 0x1f;
                } else if (asked, subleaf) == (leaf, 0) {
                    answer[register] = 1 << bit;
                }
                answer
            })
        };
        // From the manuals: CPUID.1:EDX[26], CPUID.1:ECX[28] and [31], 8000_0001:EDX[29], CPUID.7:EBX[5] and [31], CPUID.7:ECX[22].
        assert_eq!(only(1, 3, 26), "cpuid sse2");
        assert_eq!(only(1, 2, 28), "cpuid avx");
        assert_eq!(only(1, 2, 31), "cpuid hypervisor");
        assert_eq!(only(0x8000_0001, 3, 29), "cpuid lm");
        assert_eq!(only(7, 1, 5), "cpuid avx2");
        assert_eq!(only(7, 1, 31), "cpuid avx512vl");
        assert_eq!(only(7, 2, 22), "cpuid rdpid");
        assert_eq!(only(7, 3, 23), "cpuid avx512_fp16");
        // One that is switched off.
        assert_eq!(only(7, 2, 3), "cpuid");
    }
}
