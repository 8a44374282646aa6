//! `septum events`, `septum token`: what is asked of the coordinator, and what it says.

use std::process::ExitCode;

use septum_api_client::Client;
use septum_api_types::duration::Span;
use septum_api_types::v1::{CreateToken, Event, Problem};

use crate::args::{Events, Token, TokenAction};
use crate::contexts;
use crate::place::Place;
use crate::tell::{print, tell};

/// Runs a conversation with the coordinator of a place to its end.
pub fn converse(place: &Place, conversation: impl AsyncFnOnce(Client) -> Result<(), Problem>) -> ExitCode {
    talk(place, async |client| conversation(client).await.map(|()| 0))
}

/// The same for one that has statuses of its own.
pub fn talk(place: &Place, conversation: impl AsyncFnOnce(Client) -> Result<u8, Problem>) -> ExitCode {
    let engine = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match (contexts::client(place), engine) {
        (Ok(client), Ok(engine)) => {
            let result = engine.block_on(conversation(client));
            // Whoever reads standard input may do so for ever.
            engine.shutdown_background();
            result
        }
        (Err(problem), _) => Err(problem),
        (_, Err(error)) => {
            Err(septum_coordinator::problems::internal("cannot talk to the coordinator", error))
        }
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
pub fn events(place: &Place, options: &Events) -> ExitCode {
    converse(place, async |client| {
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
pub fn token(place: &Place, options: Token) -> ExitCode {
    converse(place, async |client| {
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
