use super::*;

fn record(name: &str, state: State) -> Record {
    Record {
        version: 1,
        id: "0123456789ab".to_owned(),
        name: Some(name.to_owned()),
        program: "sleep".into(),
        arguments: vec!["1".into()],
        created_ms: 0,
        started_ms: None,
        state,
        supervisor: 1,
        worker: None,
        restarts: 0,
        is_detached: true,
        has_terminal: false,
        log: Some("/nowhere".into()),
        memory_bytes: 512 << 20,
        cpus: 1,
        volumes: Vec::new(),
        labels: Default::default(),
    }
}

fn lines(shapes: &[&str]) -> Vec<Line> {
    let line =
        |(at, shape): (usize, &&str)| Line { at: at as u64, shell: 7, status: 0, shape: (*shape).to_owned() };
    shapes.iter().enumerate().map(line).collect()
}

fn commands(records: &[&Record], lines: &[Line]) -> Vec<String> {
    suggestions(records, lines, 7, 3, 1000).into_iter().map(|one| one.command).collect()
}

#[test]
fn names_are_those_that_there_are() {
    let history = lines(&[
        "run --detach --name --program",
        "logs --follow --partition",
        "run --detach --name --program",
    ]);
    let running = record("web", State::Running);
    assert_eq!(commands(&[&running], &history)[0], "septum logs --follow web");
    // Nothing is there that could have said something.
    assert!(commands(&[], &history).iter().all(|command| !command.starts_with("septum logs")));
    let twice = lines(&["stop --partitions", "rm --partitions", "stop --partitions"]);
    assert!(commands(&[&running], &twice).iter().all(|command| !command.starts_with("septum rm")));
}

#[test]
fn what_failed_comes_first_and_says_why() {
    let message = "septum: the program was killed: the partition's 512M are used up\nhint: x".to_owned();
    let failed = record("job", State::Exited { status: 250, message: Some(message), at_ms: 500 });
    let all = suggestions(&[&failed], &lines(&["ps"]), 7, 3, 1000);
    assert_eq!(all[0].command, "septum run -d --name job --memory 1G … -- sleep …");
    assert_eq!(all[0].why, "partition job: the program was killed: the partition's 512M are used up");
    // Not for ever.
    assert!(!commands(&[&failed], &[]).is_empty());
    assert!(suggestions(&[&failed], &[], 7, 3, 90_000_000_000).iter().all(|one| !one.command.contains("1G")));
}

#[test]
fn a_host_that_cannot_is_looked_at() {
    let mut history = lines(&["run --program"]);
    history[0].status = 242;
    assert_eq!(commands(&[], &history)[0], "septum doctor");
}

#[test]
fn shells_and_days_are_apart() {
    let mut history = lines(&["run", "ps", "logs"]);
    history[1].shell = 8;
    history[2].at = 100_000;
    assert_eq!(sequences(&history), [vec!["run"], vec!["ps"], vec!["logs"]]);
    history[2].at = 2;
    assert_eq!(sequences(&history), [vec!["run", "logs"], vec!["ps"]]);
}

#[test]
fn who_has_typed_nothing_is_told_how_to_begin() {
    assert_eq!(commands(&[], &[]), ["septum doctor", "septum run -- uname -a"]);
}
