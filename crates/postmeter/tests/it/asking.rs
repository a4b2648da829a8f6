//! Asks a server over its API as a program would: with the token, in JSON.

use reqwest::Method;
use serde_json::Value;

use crate::harness::Server;

/// What a request was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    /// The answer as JSON, which all but a few routes have.
    pub(crate) fn json(&self) -> Value {
        let read = serde_json::from_str(&self.text);
        read.unwrap_or_else(|_| panic!("the answer {} is {}", self.status, self.text))
    }

    /// What an answer to a request that came to nothing says.
    pub(crate) fn said(&self) -> String {
        let json = self.json();
        assert!(json["error"].is_string(), "{json}");
        let mistakes = json["mistakes"].as_array().cloned().unwrap_or_default();
        let texts = mistakes
            .iter()
            .filter_map(|mistake| mistake["text"].as_str());
        std::iter::once(json["error"].as_str().unwrap_or_default())
            .chain(texts)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

impl Server {
    /// An authorised request of the private listener.
    pub(crate) fn request(&self, method: &Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("http://{}{path}", self.console);
        let request = self.http.request(method.clone(), url);
        request.bearer_auth(self.token())
    }

    /// What a request with a body of JSON is answered; `Null`: with none.
    pub(crate) async fn ask(&self, method: &Method, path: &str, body: &Value) -> Answer {
        let mut request = self.request(method, path);
        if !body.is_null() {
            request = request.header("Content-Type", "application/json");
            request = request.body(body.to_string());
        }
        let answer = request.send().await.expect("the server answers");
        Answer {
            status: answer.status().as_u16(),
            text: answer.text().await.expect("a whole answer"),
        }
    }
}
