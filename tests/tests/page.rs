//! The page of `septum serve`: its files, who may ask what, and what a browser makes of it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::spawn;

use septum_tests::browser::{self, Browser};
use septum_tests::lane::{self, Lane};
use septum_tests::{Host, Serving, needs_partitions};

/// What a program says and is called to have a careless page run it.
const HOSTILE: &str = "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script>";

/// A browser; without one, or where it would only be slow, that is said.
fn start_browser() -> Option<Browser> {
    if Lane::current() == Lane::Nested {
        lane::skip("the page is the same on both lanes, and a browser takes long there");
        return None;
    }
    let Some(program) = browser::program() else {
        lane::skip("there is no Chromium (Debian: chromium-headless-shell)");
        return None;
    };
    Some(Browser::start(program, 1280, 800))
}

fn screenshot(name: &str) -> PathBuf {
    lane::workspace().join("target/screenshots").join(name)
}

/// A partition that says something, and goes on.
fn talk(host: &Host, name: &str, text: &str) {
    let script = "printf '%s\\n' \"$1\" >&2; while :; do head -c 100000 /dev/zero > /tmp/x; sleep 0.1; done";
    let label = format!("note={HOSTILE}");
    host.start(&["--name", name, "--label", &label], &["sh", "-c", script, HOSTILE, text]);
}

/// Somebody's proxy: TCP on loopback to the Unix socket.
fn proxy(serving: &Serving<'_>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = listener.local_addr().expect("an address");
    let path = serving.socket();
    spawn(move || {
        for stream in listener.incoming().flatten() {
            let Ok(inner) = UnixStream::connect(&path) else { continue };
            let (to, from) = (inner.try_clone().expect("a socket"), stream.try_clone().expect("a socket"));
            spawn(move || {
                let _ = std::io::copy(&mut &from, &mut &to);
                let _ = to.shutdown(Shutdown::Write);
            });
            spawn(move || {
                let _ = std::io::copy(&mut &inner, &mut &stream);
                let _ = stream.shutdown(Shutdown::Both);
            });
        }
    });
    format!("http://{address}/")
}

#[test]
fn the_files_come_with_a_policy_and_without_a_token() {
    needs_partitions!();
    let host = Host::new();
    let serving = Serving::start_with(&host, &["--listen", "127.0.0.1:0", "--plain-tcp"]);
    let tcp = || TcpStream::connect(serving.tcp_address()).expect("it listens");
    let page = serving.ask_by(tcp(), "GET", "/", &[], "").expect(200);
    let policy = page.header("content-security-policy").expect("a policy");
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "require-trusted-types-for 'script'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part) && !policy.contains("unsafe"), "{policy}");
    }
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    // Everything that the page wants is there, and nothing of it comes from elsewhere.
    let wanted: Vec<&str> = page.body.split('"').filter(|text| text.starts_with("page/")).collect();
    assert!(wanted.len() > 8, "{wanted:?}");
    for name in wanted {
        let file = serving.ask_by(tcp(), "GET", &format!("/{name}"), &[], "").expect(200);
        let tag = file.header("etag").expect("an ETag").to_owned();
        let again =
            serving.ask_by(tcp(), "GET", &format!("/{name}"), &[&format!("if-none-match: {tag}")], "");
        assert_eq!((again.status, again.body.as_str()), (304, ""));
        for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "https://"] {
            assert!(!file.body.contains(way), "{name} has {way}");
        }
    }
    assert!(!page.body.contains("http"), "{}", page.body);
    for nothing in ["/page/nothing", "/page/", "/page/..%2flib.rs", "/page/%00"] {
        let status = serving.ask_by(tcp(), "GET", nothing, &[], "").status;
        assert!([401, 404].contains(&status), "{nothing}: {status}");
    }
    assert_eq!(serving.ask_by(tcp(), "POST", "/", &[], "").status, 405);
    assert_eq!(serving.ask_by(tcp(), "GET", "/v1/partitions", &[], "").status, 401);
}

#[test]
fn pages_of_others_have_no_way_through_a_proxy() {
    needs_partitions!();
    let host = Host::new();
    host.start(&["--name", "victim"], &["sleep", "1000"]);
    let serving = Serving::start(&host);
    for header in ["sec-fetch-site: cross-site", "origin: http://evil.example", "origin: null"] {
        let answer = serving.ask_with("POST", "/v1/partitions/victim/kill", &[header], "").expect(403);
        assert_eq!(answer.text("/code"), "forbidden");
        serving.ask_with("GET", "/v1/partitions", &[header], "").expect(403);
    }
    // A name that leads to this machine (DNS rebinding).
    let mut stream = serving.connect().expect("it listens");
    write!(stream, "GET /v1/partitions HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n")
        .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(host.ask(&["ps"]).contains("victim"));
    serving.ask_with("POST", "/v1/partitions/victim/kill", &["sec-fetch-site: same-origin"], "").expect(200);
}

#[test]
fn a_browser_shows_what_runs_and_acts_on_it() {
    needs_partitions!();
    let Some(mut browser) = start_browser() else { return };
    let host = Host::new();
    talk(&host, "web", &format!("\u{1b}[31mhello\u{1b}[0m {HOSTILE}"));
    host.start(&["--name", "idle"], &["sleep", "1000"]);
    let serving = Serving::start_with(&host, &["--listen", "127.0.0.1:0", "--plain-tcp"]);
    let address = format!("http://{}/", serving.tcp_address());

    // Who asks is asked for a token; a wrong one is said to be wrong.
    browser.open(&address);
    browser.wait_for_text("This server wants a token");
    browser.insert("nonsense");
    browser.press("Enter");
    browser.wait_for_text("is none, or has expired");
    let token = host.ask(&["token", "create", "browser", "--scope", "write"]);
    browser.insert(&token);
    browser.press("Enter");
    browser.wait_for("document.querySelectorAll('#partitions tbody tr').length === 2");
    // 401 is an error on the console; what comes after must be none.
    browser.complaints();
    browser.wait_for("[...document.querySelectorAll('#partitions tbody tr')].some(row => parseFloat(row.cells[2].innerText) > 0)");
    browser.wait_for_text("live");

    // What happens is seen, with no hand on it.
    host.start(&["--name", "third"], &["sh", "-c", "exit 3"]);
    host.start(&["--name", "fourth"], &["sleep", "1000"]);
    browser.wait_for_text("fourth");
    browser.evaluate("document.getElementById('which').value = 'all'; document.getElementById('which').dispatchEvent(new Event('change'))");
    browser.wait_for_text("exited 3");
    browser.press("/");
    browser.insert("FOUR");
    browser.wait_for("document.querySelectorAll('#partitions tbody tr').length === 1");
    browser.evaluate("document.activeElement.select()");
    browser.insert("web");
    browser.press("Escape");
    browser.wait_for("document.querySelector('#partitions tbody tr').innerText.includes('web')");
    browser.picture(&screenshot("partitions.png"));

    // By keys to one of them: what it is and says is text, whatever it is.
    browser.press("j");
    browser.press("Enter");
    browser.wait_for_text("hello <img src=x onerror=");
    browser.wait_for("document.querySelectorAll('#threads tbody tr').length > 2 && document.querySelectorAll('#calls .histogram').length > 0");
    browser.wait_for("document.body.innerText.includes('note=<img')");
    assert_eq!(browser.evaluate("document.querySelectorAll('img, main script').length"), 0);
    assert_eq!(browser.evaluate("typeof window.hacked"), "undefined");
    browser.picture(&screenshot("partition-light.png"));
    browser.set_dark(true);
    browser.wait_for("getComputedStyle(document.body).backgroundColor === 'rgb(13, 17, 23)'");
    browser.picture(&screenshot("partition-dark.png"));

    browser.click("button[data-action=pause]");
    browser.wait_for("document.querySelector('.state').innerText === 'paused'");
    assert!(host.ask(&["ps"]).contains("paused"));
    browser.click("button[data-action=resume]");
    browser.wait_for("document.querySelector('.state').innerText === 'running'");
    // Kill asks first.
    browser.click("button[data-action=kill]");
    browser.wait_for("document.getElementById('confirm').open");
    browser.click("#confirm button[value=no]");
    browser.wait_for("!document.getElementById('confirm').open");
    assert_eq!(browser.evaluate("document.querySelector('.state').innerText"), "running");
    browser.click("button[data-action=kill]");
    browser.wait_for("document.getElementById('confirm').open");
    browser.click("#confirm button[value=yes]");
    browser.wait_for_text("exited 137");
    browser.wait_for("document.querySelector('#events tbody').innerText.includes('paused')");
    assert!(!host.ask(&["ps"]).contains("web"));
    browser.press("e");
    browser.wait_for("document.querySelector('#events tbody').innerText.includes('fourth')");
    browser.press("Escape");
    browser.wait_for("document.querySelector('#partitions')");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    assert_eq!(
        browser.evaluate("document.cookie + Object.keys(localStorage).join()"),
        "septum-theme".replace("septum-theme", "")
    );

    // A token that only reads is told so.
    let token = host.ask(&["token", "create", "looker"]);
    browser.evaluate(&format!(
        "sessionStorage.setItem('septum-token', '{token}'); location.hash = '#/'; location.reload()"
    ));
    browser.wait_for_text("fourth");
    browser.evaluate(
        "[...document.querySelectorAll('#partitions a')].find(it => it.innerText === 'fourth').click()",
    );
    browser.click("button[data-action=stop]");
    browser.wait_for_text("this one has read");
    assert!(host.ask(&["ps"]).contains("fourth"));
}

#[test]
fn a_browser_comes_by_a_proxy_without_a_token() {
    needs_partitions!();
    let Some(mut browser) = start_browser() else { return };
    let host = Host::new();
    host.start(&["--name", "idle"], &["sleep", "1000"]);
    let serving = Serving::start(&host);
    browser.open(&proxy(&serving));
    browser.wait_for_text("idle");
    browser.evaluate("document.querySelector('#partitions a').click()");
    browser.click("button[data-action=stop]");
    browser.wait_for_text("exited 143");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    // The coordinator goes, and another comes: the page goes on.
    serving.kill();
    browser.wait_for_text("cut off");
    browser.complaints();
    let serving = Serving::start(&host);
    browser.wait_for("document.getElementById('line').innerText === 'live'");
    serving.ask("DELETE", "/v1/partitions/idle", "").expect(204);
    browser.wait_for_text("gone");
}
