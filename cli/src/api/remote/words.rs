//! Words that become the API's, and the API's that become words.

use std::ffi::{OsStr, OsString};

use septum_api_types::v1::{Problem, ProblemCode};

/// What is said over the API is text, and nothing else.
pub fn text(word: &OsStr) -> Result<String, Problem> {
    word.to_str().map(str::to_owned).ok_or_else(|| {
        wrong("cannot ask a coordinator", format!("'{}' is no UTF-8", word.display()), "name it in UTF-8")
    })
}

/// Variables with their values; a key alone has the caller's.
pub fn variables(given: &[OsString]) -> Result<Vec<String>, Problem> {
    let mut variables = Vec::new();
    for variable in given {
        let variable = text(variable)?;
        if variable.contains('=') {
            variables.push(variable);
        } else if let Some(value) = std::env::var_os(&variable) {
            variables.push(format!("{variable}={}", text(&value)?));
        }
    }
    Ok(variables)
}

/// Something that the command line asks for, and that cannot be.
pub fn wrong(what: impl Into<String>, why: impl Into<String>, next: &str) -> Problem {
    Problem::new(ProblemCode::Invalid, what, why, next)
}

/// What to do next, for whoever types commands.
pub fn hint(problem: &Problem) -> String {
    let next = match problem.remediation.as_str() {
        "GET /v1/partitions lists all" => "'septum ps -a' lists all",
        "GET /v1/volumes lists all" => "'septum volume ls' lists those that there are",
        "stop it first, or use force" if problem.message.starts_with("cannot remove") => {
            "stop it first, or end it with --force"
        }
        "stop it first, or use force" => "stop it first",
        "make one on the host (septum token create), and send Authorization: Bearer TOKEN" => {
            "'septum token create' on that host prints one; SEPTUM_TOKEN, SEPTUM_TOKEN_FILE or a context ('septum context create') gives it"
        }
        other => other,
    };
    next.to_owned()
}
