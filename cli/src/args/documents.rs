//! `septum completion`, `septum man`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// Print the script by which a shell completes command lines
#[derive(Debug, Args)]
#[command(after_help = "bash: source <(septum completion bash)      fish: septum completion fish | source
zsh:  septum completion zsh > DIR/_septum, where DIR is in $fpath")]
pub struct Completion {
    /// Which shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// Write man pages, one for each command
#[derive(Debug, Args)]
pub struct Man {
    /// Where, such as /usr/local/share/man/man1; made if it is not there
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}
