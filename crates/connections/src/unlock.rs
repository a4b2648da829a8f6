//! Reads the secrets that a document names, all of them or none.

use std::net::IpAddr;

use dispatch::{Destination, Endpoint, WriteKey, write_key_warning};

use crate::connection::{AppApi, AppApiTarget, Connection, Connections, Signature, Workspace};
use crate::mistakes::{Mistake, Mistakes};
use crate::secret::{Secret, SecretRef, Secrets};

/// Connections with their secrets: what a server runs on.
#[derive(Clone, Debug, Default)]
pub struct Unlocked {
    /// The workspaces, in the document's order.
    pub workspaces: Vec<UnlockedWorkspace>,
    /// The connections, in the document's order.
    pub connections: Vec<UnlockedConnection>,
    /// What works and still deserves a look, a sentence each.
    pub warnings: Vec<String>,
}

/// A workspace with its signing keys.
#[derive(Clone, Debug)]
pub struct UnlockedWorkspace {
    /// As decided.
    pub workspace: Workspace,
    /// The keys; empty only where signatures are off.
    pub signing_keys: Vec<Secret>,
    /// Where its names are looked up, if anywhere.
    pub app_api: Option<UnlockedAppApi>,
}

/// A workspace's App API with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnlockedAppApi {
    /// The key.
    pub key: Secret,
    /// The base URL, without a slash at its end.
    pub url: String,
}

/// A connection with its write key.
#[derive(Clone, Debug)]
pub struct UnlockedConnection {
    /// As decided.
    pub connection: Connection,
    /// Where it sends, and as whom.
    pub destination: Destination,
    /// The last characters of the write key.
    pub write_key_ends_with: String,
}

impl Connections {
    /// Reads every secret as it is now.
    ///
    /// # Errors
    /// Every secret that cannot be read, at once.
    pub fn unlock(&self, secrets: Secrets<'_>) -> Result<Unlocked, Mistakes> {
        let mut reader = Reader {
            secrets,
            mistakes: Vec::new(),
            warnings: Vec::new(),
        };
        let workspaces = self
            .workspaces()
            .iter()
            .map(|each| reader.workspace(each))
            .collect();
        let connections = self
            .connections()
            .iter()
            .filter_map(|each| reader.connection(each))
            .collect();
        let Reader {
            mistakes, warnings, ..
        } = reader;
        Mistakes::none_of(mistakes)?;
        Ok(Unlocked {
            workspaces,
            connections,
            warnings,
        })
    }
}

struct Reader<'e> {
    secrets: Secrets<'e>,
    mistakes: Vec<Mistake>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    fn workspace(&mut self, workspace: &Workspace) -> UnlockedWorkspace {
        let keys: &[SecretRef] = match &workspace.signature {
            Signature::Keys(keys) => keys,
            Signature::Off => {
                self.warnings.push(format!(
                    "workspace {}: signatures are off, so anyone who knows the URL can send events",
                    workspace.name
                ));
                &[]
            }
        };
        let at = format!("workspace {}: signing_keys", workspace.name);
        let signing_keys = keys.iter().filter_map(|key| self.read(&at, key)).collect();
        UnlockedWorkspace {
            workspace: workspace.clone(),
            signing_keys,
            app_api: self.app_api(workspace),
        }
    }

    fn app_api(&mut self, workspace: &Workspace) -> Option<UnlockedAppApi> {
        let AppApi { key, target } = workspace.app_api.as_ref()?;
        let name = &workspace.name;
        if let AppApiTarget::Url(url) = target
            && travels_in_clear(url)
        {
            self.warnings.push(format!(
                "workspace {name}: {url} is not https, so the App API key travels in clear"
            ));
        }
        let key = self.read(&format!("workspace {name}: app_api_key"), key)?;
        Some(UnlockedAppApi {
            key,
            url: target.url(),
        })
    }

    fn connection(&mut self, connection: &Connection) -> Option<UnlockedConnection> {
        let name = &connection.name;
        let key = self.read(
            &format!("connection {name}: write_key"),
            &connection.write_key,
        )?;
        let endpoint = connection.target.endpoint();
        if let Some(warning) = write_key_warning(key.reveal()) {
            self.warnings.push(format!("connection {name}: {warning}"));
        }
        if travels_in_clear(&endpoint) {
            self.warnings.push(format!(
                "connection {name}: {endpoint} is not https, so the write key travels in clear"
            ));
        }
        let write_key = WriteKey::new(key.reveal());
        let destination = Destination {
            endpoint,
            write_key,
        };
        Some(UnlockedConnection {
            write_key_ends_with: key.last_four().to_owned(),
            connection: connection.clone(),
            destination,
        })
    }

    fn read(&mut self, at: &str, secret: &SecretRef) -> Option<Secret> {
        match secret.read(self.secrets) {
            Ok(secret) => Some(secret),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                self.mistakes.push(Mistake {
                    line: None,
                    at: at.to_owned(),
                    what: format!("{error}{}", cause.unwrap_or_default()),
                    hint: None,
                });
                None
            }
        }
    }
}

fn travels_in_clear(endpoint: &Endpoint) -> bool {
    endpoint.is_plaintext() && !is_this_machine(endpoint.host())
}

/// Whether what is sent to `host` stays on this machine.
fn is_this_machine(host: &str) -> bool {
    let address: Result<IpAddr, _> = host.trim_matches(['[', ']']).parse();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
