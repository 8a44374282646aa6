//! `septum events`, `septum token`: what is asked of the coordinator, and what it says.

use std::process::ExitCode;

use septum_api_client::Client;
use septum_api_server::socket_path;
use septum_api_types::duration::Span;
use septum_api_types::places;
use septum_api_types::v1::{CreateToken, Event, Problem};

use crate::args::{Events, Token, TokenAction};
use crate::message::{print, tell};

/// Runs a conversation with the coordinator to its end.
pub fn converse(conversation: impl AsyncFnOnce(Client) -> Result<(), Problem>) -> ExitCode {
    talk(async |client| conversation(client).await.map(|()| 0))
}

/// The same for one that has statuses of its own.
pub fn talk(conversation: impl AsyncFnOnce(Client) -> Result<u8, Problem>) -> ExitCode {
    let runtime = places::runtime_directory(rustix::process::getuid().as_raw());
    let client = Client::new(&socket_path(&runtime));
    let engine = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match engine {
        Ok(engine) => engine.block_on(conversation(client)),
        Err(error) => Err(septum_coordinator::problems::internal("cannot talk to the coordinator", error)),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(problem) => {
            tell(&format!("septum: {problem}\nhint: {}", problem.remediation));
            ExitCode::from(crate::apply::status(&problem))
        }
    }
}

/// `septum events`
pub fn events(options: &Events) -> ExitCode {
    converse(async |client| {
        let mut events = client.events(options.after, !options.no_follow).await?;
        while let Some(event) = events.next().await? {
            let text =
                if options.json { serde_json::to_string(&event).unwrap_or_default() } else { line(&event) };
            print(&format!("{text}\n"));
        }
        Ok(())
    })
}

fn line(event: &Event) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(event.at_ms);
    let detail = event.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    let name = event.name.as_deref().unwrap_or_default();
    let text = format!(
        "{}  {}  {} {name} {}{detail}",
        event.sequence,
        humantime::format_rfc3339_seconds(at),
        event.partition,
        event.kind.name()
    );
    // Reasons may hold what a guest said.
    text.chars().filter(|character| !character.is_control()).collect()
}

/// `septum token`
pub fn token(options: Token) -> ExitCode {
    converse(async |client| {
        match options.action {
            TokenAction::Create { name, scope, expires } => {
                // A part of a second is one.
                let seconds = expires.map(|Span { ns }| ns.div_ceil(1_000_000_000));
                let made = client.create_token(&CreateToken { name, scope, seconds }).await?;
                tell(&format!("septum: token {} ({})", made.token.id, made.token.scope));
                print(&format!("{}\n", made.secret));
            }
            TokenAction::Ls => {
                let mut text = String::from("ID             SCOPE   NAME\n");
                for token in client.tokens().await?.items {
                    let name: String = token.name.chars().filter(|it| !it.is_control()).collect();
                    text += &format!("{}   {:<6}  {name}\n", token.id, token.scope.name());
                }
                print(&text);
            }
            TokenAction::Revoke { id } => client.revoke_token(&id).await?,
        }
        Ok(())
    })
}
