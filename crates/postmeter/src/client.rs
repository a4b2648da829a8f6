//! Talks to a running server's private listener, for the commands that do.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::cli::ServerArgs;
use crate::config::Config;
use crate::token::Token;

/// How long the server may take to answer. A test event waits for Segment.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// A running server, and the right to ask it.
pub(crate) struct Client {
    http: reqwest::Client,
    address: SocketAddr,
    token: Token,
}

/// A request that the server understood and did not follow.
#[derive(Debug, thiserror::Error)]
#[error("{}", said(.0))]
pub(crate) struct Declined(pub(crate) Value);

/// What failed, with one thing to try. The rim prints the hint on a line of its own.
#[derive(Debug)]
pub(crate) struct Hinted {
    pub(crate) what: String,
    pub(crate) hint: &'static str,
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

fn said(answer: &Value) -> String {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let error = answer
        .get("error")
        .and_then(text)
        .unwrap_or_else(|| answer.to_string());
    let mistakes = answer.get("mistakes").and_then(Value::as_array);
    let lines = mistakes
        .into_iter()
        .flatten()
        .filter_map(|mistake| text(mistake.get("text")?));
    std::iter::once(error)
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
}

impl Client {
    /// Finds the server by its config file, or by what the arguments say instead.
    pub(crate) fn find(args: &ServerArgs) -> anyhow::Result<Client> {
        let config = Config::load(args.config.as_deref())?;
        let token_file = args.token_file.as_ref().unwrap_or(&config.token_file);
        let token = Token::read(token_file).context(Hinted {
            what: "cannot use the server's API".to_owned(),
            hint: "the server makes its token on its first start; --config or --token-file says where it is",
        })?;
        // Already installed is as good: there is one provider in this program.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder()
            .timeout(ANSWER_TIME)
            .no_proxy()
            .build()
            .context("cannot make an HTTP client")?;
        Ok(Client {
            http,
            address: args.server.unwrap_or(config.console_listen),
            token,
        })
    }

    /// The answer to a GET.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::GET, path, String::new()).await
    }

    /// The answer to a POST without a body.
    pub(crate) async fn post(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::POST, path, String::new()).await
    }

    /// The answer to a POST of JSON.
    pub(crate) async fn post_json(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<Value> {
        let json = serde_json::to_vec(body).context("cannot write JSON")?;
        self.post_bytes(path, json).await
    }

    /// The answer to a POST of bytes, which are JSON where the path takes that.
    pub(crate) async fn post_bytes(&self, path: &str, body: Vec<u8>) -> anyhow::Result<Value> {
        self.ask(Method::POST, path, body).await
    }

    /// The answer to a PUT of a document.
    pub(crate) async fn put(&self, path: &str, document: String) -> anyhow::Result<Value> {
        self.ask(Method::PUT, path, document).await
    }

    /// The text that a GET answers.
    pub(crate) async fn text(&self, path: &str) -> anyhow::Result<String> {
        let (status, text) = self.send(Method::GET, path, String::new()).await?;
        if status.is_success() {
            Ok(text)
        } else {
            Err(declined(status, &text))
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: impl Into<reqwest::Body>,
    ) -> anyhow::Result<Value> {
        let (status, text) = self.send(method, path, body).await?;
        if !status.is_success() {
            return Err(declined(status, &text));
        }
        serde_json::from_str(&text).context("the server's answer is not JSON")
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: impl Into<reqwest::Body>,
    ) -> anyhow::Result<(StatusCode, String)> {
        let url = format!("http://{}{path}", self.address);
        let request = self
            .http
            .request(method, url)
            .bearer_auth(self.token.reveal())
            .header("Content-Type", "application/json")
            .body(body);
        let unreachable = || Hinted {
            what: format!("cannot reach a server at {}", self.address),
            hint: "does it run? --config or --server says where its console listens",
        };
        let answer = request.send().await.with_context(unreachable)?;
        let status = answer.status();
        let text = answer
            .text()
            .await
            .context("the server's answer broke off")?;
        Ok((status, text))
    }
}

/// A text as a part of an address.
pub(crate) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~:/".contains(&byte);
    let one = |byte: u8| {
        if plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(one).collect()
}

fn declined(status: StatusCode, text: &str) -> anyhow::Error {
    match serde_json::from_str(text) {
        Ok(answer) => Declined(answer).into(),
        Err(_) => anyhow::anyhow!("the server answered {status}: {}", text.trim()),
    }
}
