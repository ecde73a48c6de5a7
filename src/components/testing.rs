//! What the components' tests share: a context with a recording meter, and local servers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use indexmap::IndexMap;
use poem::{Endpoint, Server, listener::TcpAcceptor};
use secrecy::SecretString;
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Bound, CallOutcome, Component, ComponentError, Context, Meter, NewCall, Nodes, Opened, ProviderKeys, Runtime,
    Totals, Turns,
};
use crate::{
    base::{SecretHost, Usd, apart::Apart},
    catalog::{
        components::{Field, Output, Shape},
        model::Node,
    },
    egress::{Client, Policy},
    providers::{Provider, Registry},
};

/// Everything that a context borrows.
pub struct World {
    pub runtime: Runtime,
    pub inputs: Map<String, Value>,
    pub nodes: IndexMap<String, Arc<Value>>,
    /// As the author wrote it. Its config is that of the run unless it is set.
    pub node: Node,
    pub secrets: Vec<Opened>,
    /// Where secrets may be sent that are added without a word of it.
    pub hosts: Vec<SecretHost>,
    pub keys: Keys,
    pub meter: Recorder,
    pub turns: Kept,
    pub apart: Apart,
    pub egress: Client,
    pub providers: Registry,
    pub cancel: CancellationToken,
}

impl Nodes for IndexMap<String, Arc<Value>> {
    fn names(&self) -> Vec<&str> {
        self.keys().map(String::as_str).collect()
    }

    fn output(&self, name: &str, _most: usize) -> Option<Option<Value>> {
        self.get(name).map(|output| Some(output.as_ref().clone()))
    }
}

impl World {
    /// A world whose guard lets these `host:port` pairs through.
    pub fn allowing(pairs: &[&str]) -> Self {
        let id = Uuid::nil();
        Self {
            runtime: Runtime {
                task_id: id.into(),
                agency_id: id.into(),
                team_id: id.into(),
                agent_instance_id: id.into(),
                recipe_id: id.into(),
                now: "2026-01-02T03:04:05Z".into(),
                default_provider: None,
                default_model: None,
            },
            inputs: Map::new(),
            nodes: IndexMap::new(),
            node: Node::default(),
            secrets: Vec::new(),
            hosts: pairs.iter().chain(&["example.com"]).map(|host| SecretHost::parse(host).unwrap()).collect(),
            keys: Keys::default(),
            meter: Recorder::default(),
            turns: Kept::default(),
            apart: Apart::start().unwrap(),
            egress: Client::new(Policy::new(pairs).unwrap()).unwrap(),
            providers: Registry::from_providers(Vec::new()),
            cancel: CancellationToken::new(),
        }
    }

    pub fn providers(mut self, providers: Vec<Arc<dyn Provider>>) -> Self {
        self.providers = Registry::from_providers(providers);
        self
    }

    /// A secret that may go to every host that is let through.
    pub fn secret(self, name: &str, value: &str) -> Self {
        let bound = Bound::To(self.hosts.clone());
        self.bound_secret(name, value, bound)
    }

    pub fn bound_secret(mut self, name: &str, value: &str, bound: Bound) -> Self {
        let key_name = format!("{name}_in_the_locker");
        self.secrets.push(Opened { local: name.into(), key_name, value: value.into(), bound });
        self
    }

    fn context<'a>(&'a self, node: &'a Node) -> Context<'a> {
        Context {
            runtime: &self.runtime,
            inputs: &self.inputs,
            nodes: &self.nodes,
            node,
            secrets: &self.secrets,
            keys: &self.keys,
            meter: &self.meter,
            turns: &self.turns,
            apart: &self.apart,
            egress: &self.egress,
            providers: &self.providers,
            cancel: &self.cancel,
        }
    }

    /// Also holds what the component gives against its row in the table.
    pub async fn run(&self, component: &dyn Component, config: Value) -> Result<Value, ComponentError> {
        let Value::Object(config) = config else { panic!("config is a mapping") };
        let mut node = self.node.clone();
        if node.config.is_empty() {
            node.config.clone_from(&config);
        }
        let output = component.run(&self.context(&node), &config).await?;
        let spec = component.spec();
        match spec.output {
            Output::Only(fields) => has_fields(spec.name, fields, true, &output),
            Output::AtLeast(fields) => has_fields(spec.name, fields, false, &output),
            Output::Anything => {}
        }
        Ok(output)
    }

    /// The calls, each with its outcome; fails if one was begun and not settled.
    pub fn calls(&self) -> Vec<(NewCall, CallOutcome)> {
        let calls = self.meter.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().map(|(call, outcome)| (call.clone(), outcome.clone().expect("every call is settled"))).collect()
    }
}

/// Fails if a field that is always there is not, or one is there that the table does not know.
#[track_caller]
fn has_fields(place: &str, fields: &[Field], only: bool, value: &Value) {
    let map = value.as_object().unwrap_or_else(|| panic!("{place} is no mapping: {value}"));
    let unknown = map.keys().find(|key| only && !fields.iter().any(|field| field.name == *key));
    assert_eq!(unknown, None, "{place} gives a field that the table of components does not know");
    for field in fields {
        let place = format!("{place}.{}", field.name);
        let Some(value) = map.get(field.name) else {
            assert!(!field.is_always_there, "{place} is always there, as the table of components has it");
            continue;
        };
        match field.shape {
            Shape::Value => {}
            Shape::Mapping(fields) => has_fields(&place, fields, true, value),
            Shape::List(fields) => {
                let items = value.as_array().unwrap_or_else(|| panic!("{place} is no list: {value}"));
                for item in items {
                    has_fields(&place, fields, true, item);
                }
            }
        }
    }
}

/// Keys by provider; models by name.
#[derive(Debug, Default)]
pub struct Keys {
    pub own: Option<SecretString>,
    pub by_provider: BTreeMap<String, SecretString>,
    pub models: BTreeMap<String, String>,
}

#[async_trait]
impl ProviderKeys for Keys {
    async fn key(&self, provider: &str, own: bool) -> Result<Option<SecretString>, ComponentError> {
        if let Some(key) = self.own.as_ref().filter(|_| own) {
            return Ok(Some(key.clone()));
        }
        Ok(self.by_provider.get(provider).cloned())
    }

    fn provider_of(&self, model: &str) -> Option<String> {
        self.models.get(model).cloned()
    }
}

/// Remembers every call. A call costs a thousandth of a dollar for each token.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Vec<(NewCall, Option<CallOutcome>)>>);

#[async_trait]
impl Meter for Recorder {
    async fn begin(&self, call: NewCall) -> Result<u32, ComponentError> {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push((call, None));
        Ok(u32::try_from(calls.len()).unwrap())
    }

    async fn settle(&self, call_no: u32, outcome: CallOutcome) -> Option<Usd> {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = &mut calls[usize::try_from(call_no).unwrap() - 1].1;
        assert!(slot.is_none(), "call {call_no} is settled twice");
        let tokens = outcome.usage().map(|usage| usage.total());
        *slot = Some(outcome);
        tokens.map(|tokens| Usd(rust_decimal::Decimal::new(i64::try_from(tokens).unwrap(), 3)))
    }

    fn totals(&self) -> Totals {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = calls.iter().filter_map(|(_, outcome)| outcome.as_ref()?.usage()).map(|usage| usage.total()).sum();
        let cost = Usd(rust_decimal::Decimal::new(i64::try_from(tokens).unwrap(), 3));
        Totals { calls: calls.len() as u64, tokens, cost }
    }
}

/// Keeps turns, with `s3cret` taken out of them.
#[derive(Debug, Default)]
pub struct Kept(pub Mutex<Vec<Value>>);

#[async_trait]
impl Turns for Kept {
    async fn kept(&self) -> Result<Vec<Value>, ComponentError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn keep(&self, piece: Value) -> Result<Value, ComponentError> {
        let piece: Value = serde_json::from_str(&piece.to_string().replace("s3cret", "[redacted]")).unwrap();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(piece.clone());
        Ok(piece)
    }
}

/// Serves on a free port and gives its `host:port`.
pub async fn serve(app: impl Endpoint + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(Server::new_with_acceptor(TcpAcceptor::from_tokio(listener).unwrap()).run(app));
    address
}

/// The `host:port` of a port where nothing listens.
pub async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}
