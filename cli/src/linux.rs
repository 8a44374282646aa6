//! What of a command line makes a Linux guest, and which options make none.

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::network::Network;
use septum_api_types::privilege::PrivilegeChoice;
use septum_api_types::spec::{DEFAULT_THREADS, LinuxGuest};

use crate::args::Run;

/// The Linux guest that `--kernel` asks for.
pub fn guest(run: &Run) -> Result<Option<LinuxGuest>, Failure> {
    let Some(kernel) = &run.kernel else { return Ok(None) };
    if let Some((option, instead)) = refused(run) {
        let what = format!("cannot use {option} with --kernel");
        return Err(Failure::new(Code::Usage, what, "a Linux guest has no part of it").hint(instead));
    }
    Ok(Some(LinuxGuest {
        kernel: kernel.clone().into(),
        initrd: run.initrd.clone().map(Into::into),
        command_line: run.cmdline.clone().into(),
    }))
}

/// The first option that is about programs or files of the host, and what does it in a Linux guest.
fn refused(run: &Run) -> Option<(&'static str, &'static str)> {
    const FILES: &str = "give it a disk with --block, or put files into --initrd";
    const INIT: &str = "that is for the guest's init: tell it by --cmdline or --initrd";
    const NETWORK: &str = "Linux guests have no network here; a network card can be passed on with --device";
    let around = &run.surroundings;
    let network = &run.network;
    let is_networked = network.clone().network() != Network::default();
    let conditions = [
        (!run.program.is_empty(), "a program", INIT),
        (!run.volume.is_empty(), "--volume", FILES),
        (!run.mount.is_empty(), "--mount", FILES),
        (!around.tmpfs.is_empty(), "--tmpfs", FILES),
        (around.shm_size.is_some(), "--shm-size", INIT),
        (around.read_only, "--read-only", "add ':ro' to its disks"),
        (!run.env.is_empty(), "--env", INIT),
        (!around.env_file.is_empty(), "--env-file", INIT),
        (run.workdir.is_some(), "--workdir", INIT),
        (around.user.is_some(), "--user", INIT),
        (!around.group_add.is_empty(), "--group-add", INIT),
        (!around.ulimit.is_empty(), "--ulimit", INIT),
        (around.hostname.is_some(), "--hostname", INIT),
        (run.privilege != PrivilegeChoice::Auto, "--privilege", "leave it out: Linux runs in ring 0"),
        (run.threads != DEFAULT_THREADS, "--threads", "leave it out: --cpus is what it has"),
        (run.stop_signal.is_some(), "--stop-signal", "leave it out: any signal ends the partition"),
        (run.debug_panic || run.debug_profile, "--debug-…", "leave it out: that is for Septum's own kernel"),
        (is_networked, "the options of networks", NETWORK),
    ];
    conditions.into_iter().find_map(|(is_given, option, instead)| is_given.then_some((option, instead)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::tests_support::run;

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let lines: [(&[&str], &str); 6] = [
            (&["--volume", ".:/a"], "--volume"),
            (&["--privilege", "ring0"], "--privilege"),
            (&["--threads", "7"], "--threads"),
            (&["--publish", "8080:80"], "networks"),
            (&["--env", "A=1"], "--env"),
            (&["true"], "a program"),
        ];
        for (line, named) in lines {
            let line = [&["--kernel", "vmlinuz"][..], line].concat();
            let failure = guest(&run(&line).unwrap()).unwrap_err();
            assert!(failure.what.contains(named) && !failure.hint.is_empty(), "{failure:?}");
        }
    }

    #[test]
    fn a_kernel_is_enough() {
        let given = run(&["--kernel", "a", "--initrd", "b", "--cmdline", "c d", "--memory", "1G"]).unwrap();
        let linux = guest(&given).unwrap().unwrap();
        assert_eq!((linux.kernel.to_string(), linux.command_line.to_string()), ("a".into(), "c d".into()));
        assert_eq!(linux.initrd.unwrap().to_string(), "b");
        assert!(run(&["--initrd", "b", "true"]).is_err());
        assert!(run(&["--kernel", "a", "--image", "b"]).is_err());
        assert!(guest(&run(&["true"]).unwrap()).unwrap().is_none());
    }
}
