//! The routes of calls, each made once: resolving one is a look-up.

use std::collections::HashMap;
use std::sync::Arc;

use super::settings::{Config, RouteSettings};
use crate::types::Route;

/// Finds the route of a call. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RouteTable {
    default: Arc<Route>,
    by_called: Arc<HashMap<String, Arc<Route>>>,
}

impl RouteTable {
    /// The route of a called number, path or key; the default route for all others.
    #[must_use]
    pub fn resolve(&self, called: Option<&str>) -> Arc<Route> {
        let named = called.and_then(|called| self.by_called.get(called));
        Arc::clone(named.unwrap_or(&self.default))
    }

    /// Every route, the default one first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Route>> {
        let mut named: Vec<_> = self.by_called.values().collect();
        named.sort_by(|a, b| a.name.cmp(&b.name));
        named.dedup_by(|a, b| Arc::ptr_eq(a, b));
        std::iter::once(&self.default).chain(named)
    }
}

impl Config {
    /// Makes the routes.
    #[must_use]
    pub fn routes(&self) -> RouteTable {
        let mut by_called = HashMap::new();
        for named in &self.routes {
            let route = Arc::new(route(&named.name, &named.settings));
            by_called
                .extend(named.called.iter().map(|called| (called.clone(), Arc::clone(&route))));
        }
        let default = Arc::new(route(DEFAULT_ROUTE, &self.route));
        RouteTable { default, by_called: Arc::new(by_called) }
    }
}

fn route(name: &str, settings: &RouteSettings) -> Route {
    let voice = match settings.voice.as_str() {
        "" => default_voice(&settings.tts),
        voice => voice,
    };
    Route {
        name: name.to_owned(),
        dialog: settings.dialog.clone(),
        stt: settings.stt.clone(),
        tts: settings.tts.clone(),
        voice: voice.to_owned(),
        language: settings.language.clone(),
        prompts: settings.prompts.clone(),
        listening: settings.listening.clone(),
        turns: settings.turns.clone(),
        restarts: settings.restarts,
    }
}

/// A worker of the user's own gets no name and chooses by itself.
fn default_voice(tts: &str) -> &'static str {
    match tts {
        "flite" => "slt",
        "generic-http" => "en-US-Standard-A",
        _ => "",
    }
}

/// Name of the route that `[route]` describes.
const DEFAULT_ROUTE: &str = "default";
