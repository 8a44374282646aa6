//! Who may come by TCP. A token is random and told once; what is kept is its SHA-256, which needs no salt, as nobody guesses 256 bits.

use std::time::Duration;

use septum_api_types::v1::{CreateToken, NewToken, Problem, ProblemCode, Token};
use septum_registry::directory::new_id;
use septum_registry::record::now_ms;
use sha2::{Digest as _, Sha256};

use crate::coordinator::Coordinator;
use crate::create::hex;
use crate::problems;

/// What secrets begin with, so that those who find one know what it is.
const PREFIX: &str = "septum_";
/// The longest secret that is looked at.
const LONGEST: usize = 128;
/// The longest name.
const LONGEST_NAME: usize = 100;

impl Coordinator {
    /// Makes a token.
    ///
    /// # Errors
    /// Its name is none, or it cannot be kept.
    pub fn create_token(&self, create: CreateToken) -> Result<NewToken, Problem> {
        const MESSAGE: &str = "cannot make the token";
        if create.name.is_empty() || create.name.len() > LONGEST_NAME {
            let cause = format!("its name must have 1 to {LONGEST_NAME} bytes");
            return Err(Problem::new(ProblemCode::Invalid, MESSAGE, cause, "say who will have it"));
        }
        let internal = |error: std::io::Error| problems::internal(MESSAGE, error);
        let mut random = [0; 32];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
            .map_err(|error| internal(error.into()))?;
        let secret = format!("{PREFIX}{}", hex(&random));
        let created_ms = now_ms();
        let lasts = create.seconds.map(|seconds| Duration::from_secs(seconds).as_millis());
        let token = Token {
            id: new_id().map_err(internal)?,
            name: create.name,
            scope: create.scope,
            created_ms,
            expires_ms: lasts.map(|ms| created_ms.saturating_add(u64::try_from(ms).unwrap_or(u64::MAX))),
        };
        self.lock()
            .store
            .add_token(&token, &digest(&secret))
            .map_err(|error| problems::not_kept(MESSAGE, &error))?;
        Ok(NewToken { token, secret })
    }

    /// All tokens.
    ///
    /// # Errors
    /// The database failed.
    pub fn tokens(&self) -> Result<Vec<Token>, Problem> {
        let found = self.lock().store.tokens(None);
        found.map_err(|error| problems::not_kept("cannot list the tokens", &error))
    }

    /// Makes a token worthless from now on.
    ///
    /// # Errors
    /// There is none.
    pub fn revoke_token(&self, id: &str) -> Result<(), Problem> {
        let message = format!("cannot revoke token '{id}'");
        let is_gone = self.lock().store.remove_token(id);
        match is_gone.map_err(|error| problems::not_kept(&message, &error))? {
            true => {
                self.revocations.send_modify(|count| *count += 1);
                Ok(())
            }
            false => Err(Problem::new(
                ProblemCode::NotFound,
                message,
                "there is no such token",
                "GET /v1/tokens lists all",
            )),
        }
    }

    /// Waits until a token counts no more: it was revoked, or its time is up.
    pub async fn until_worthless(&self, token: &Token) {
        let mut revocations = self.revocations.subscribe();
        loop {
            let is_there = self.tokens().is_ok_and(|all| all.iter().any(|it| it.id == token.id));
            let left_ms = token.expires_ms.map(|at_ms| at_ms.saturating_sub(now_ms()));
            if !is_there || left_ms == Some(0) {
                return;
            }
            // A clock that was set is noticed within the hour.
            let left = Duration::from_millis(left_ms.unwrap_or(u64::MAX)).min(Duration::from_secs(3600));
            let _ = tokio::time::timeout(left, revocations.changed()).await;
        }
    }

    /// Whose secret it is, if it is one that counts now.
    #[must_use]
    pub fn bearer(&self, secret: &str) -> Option<Token> {
        if secret.len() > LONGEST || !secret.starts_with(PREFIX) {
            return None;
        }
        let found = self.lock().store.tokens(Some(&digest(secret))).ok()?;
        let now = now_ms();
        found.into_iter().next().filter(|token| token.expires_ms.is_none_or(|at_ms| now < at_ms))
    }
}

fn digest(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}
