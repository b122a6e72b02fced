//! The API server, and servers by pod exec.

use std::time::Duration;

use api::force::ForceState;
use api::identity::Role;
use api::pair::DhcpFailoverPair;
use api::status::LeaseLine;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{AttachParams, ListParams, Patch, PatchParams};
use kube::config::KubeConfigOptions;
use kube::{Api, Client, Config, ResourceExt};
use serde_json::json;
use tokio::io::AsyncReadExt;

/// Field manager of what the plugin writes: GitOps tools strip those that begin with `kubectl`.
const FIELD_MANAGER: &str = "dhcp-cli";
/// Where a server listens inside its pod.
const SOCKET: &str = "/run/dhcp/dhcp.sock";
/// A server answers within this time.
const EXEC: Duration = Duration::from_secs(30);

/// Why something could not be asked or done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No usable kubeconfig.
    #[error("reading the kubeconfig")]
    Config(#[source] kube::config::KubeconfigError),
    /// The API server refused or did not answer.
    #[error("{doing}")]
    Api {
        /// What was being done.
        doing: String,
        /// Why it failed.
        #[source]
        source: Box<kube::Error>,
    },
    /// The server did not answer in time.
    #[error("the {0} does not answer")]
    Timeout(Role),
    /// The connection to the pod broke.
    #[error("talking to the {0}")]
    Exec(Role, #[source] std::io::Error),
    /// The answer makes no sense.
    #[error("the answer of the {0} cannot be read")]
    Answer(Role, #[source] serde_json::Error),
    /// The server said no.
    #[error("the {0} says: {1}")]
    Said(Role, String),
}

/// A namespace of a cluster.
pub(crate) struct Cluster {
    client: Client,
    /// The namespace.
    pub(crate) namespace: String,
}

impl Cluster {
    /// Connects as the kubeconfig says.
    pub(crate) async fn connect(context: Option<String>, namespace: Option<String>) -> Result<Self, Error> {
        let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
        let config = Config::from_kubeconfig(&options).await.map_err(Error::Config)?;
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(failed("connecting"))?;
        Ok(Self { client, namespace })
    }

    /// A pair.
    pub(crate) async fn pair(&self, name: &str) -> Result<DhcpFailoverPair, Error> {
        self.pairs().get(name).await.map_err(failed(format!("reading the pair {}/{name}", self.namespace)))
    }

    /// All pairs.
    pub(crate) async fn all(&self) -> Result<Vec<DhcpFailoverPair>, Error> {
        let list = self.pairs().list(&ListParams::default()).await;
        list.map(|list| list.items).map_err(failed(format!("listing the pairs of {}", self.namespace)))
    }

    /// Writes a request into the spec.
    pub(crate) async fn force(&self, pair: &str, force: &ForceState) -> Result<(), Error> {
        let mut wanted = serde_json::to_value(force).unwrap_or_default();
        // A merge keeps what it does not name, and an earlier request may have said more.
        for field in
            ["deadServer", "downSince", "recoverTime", "evidence", "expert", "hold", "confirm", "reason"]
        {
            if let Some(wanted) = wanted.as_object_mut() {
                wanted.entry(field).or_insert(serde_json::Value::Null);
            }
        }
        let doing = format!("writing spec.forceState of {}/{pair}", self.namespace);
        self.merge(pair, &json!({"spec": {"forceState": wanted}})).await.map_err(failed(doing))
    }

    /// Annotates a pair.
    pub(crate) async fn annotate(&self, pair: &str, name: &str, value: &str) -> Result<(), Error> {
        let doing = format!("annotating {}/{pair}", self.namespace);
        self.merge(pair, &json!({"metadata": {"annotations": {name: value}}})).await.map_err(failed(doing))
    }

    /// The number of a server's newest claim.
    pub(crate) async fn claim(&self, pair: &str, role: Role) -> Result<Option<u32>, Error> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), &self.namespace);
        let list = claims.list(&ListParams::default()).await.map_err(failed("listing claims"))?;
        let prefix = format!("{pair}-{role}-");
        let number = |claim: &PersistentVolumeClaim| claim.name_any().strip_prefix(&prefix)?.parse().ok();
        Ok(list.items.iter().filter_map(number).max())
    }

    /// All leases of a server, asked of itself.
    pub(crate) async fn leases(&self, pair: &str, role: Role) -> Result<Vec<LeaseLine>, Error> {
        let (text, _) = self.ctl(pair, role, &["leases"]).await?;
        text.lines()
            .map(|line| serde_json::from_str(line).map_err(|error| Error::Answer(role, error)))
            .collect()
    }

    /// `dhcp-pod ctl` in a server's pod: what it printed, and whether its exit code was 0.
    pub(crate) async fn ctl(&self, pair: &str, role: Role, words: &[&str]) -> Result<(String, bool), Error> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let command = [&["dhcp-pod", "ctl", "--socket", SOCKET], words].concat();
        let params = AttachParams::default().stdout(true).stderr(true);
        let work = async {
            let doing = format!("asking the pod of the {role}");
            let mut process =
                pods.exec(&format!("{pair}-{role}-0"), command, &params).await.map_err(failed(doing))?;
            let (mut out, mut err) = (String::new(), String::new());
            let (stdout, stderr) = (process.stdout(), process.stderr());
            let read = async {
                if let Some(mut stdout) = stdout {
                    stdout.read_to_string(&mut out).await?;
                }
                Ok(())
            };
            let complain = async {
                if let Some(mut stderr) = stderr {
                    stderr.read_to_string(&mut err).await?;
                }
                Ok(())
            };
            tokio::try_join!(read, complain).map_err(|error| Error::Exec(role, error))?;
            let status = match process.take_status() {
                Some(status) => status.await,
                None => None,
            };
            let ok = status.is_some_and(|status| status.status.as_deref() == Some("Success"));
            if out.is_empty() && !ok {
                return Err(Error::Said(role, err.trim().to_owned()));
            }
            Ok((out, ok))
        };
        tokio::time::timeout(EXEC, work).await.map_err(|_| Error::Timeout(role))?
    }

    fn pairs(&self) -> Api<DhcpFailoverPair> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn merge(&self, pair: &str, patch: &serde_json::Value) -> Result<(), kube::Error> {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.pairs().patch(pair, &params, &Patch::Merge(patch)).await.map(|_| ())
    }
}

fn failed(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> Error {
    let doing = doing.into();
    move |source| Error::Api { doing, source: Box::new(source) }
}
