//! The routes of calls, each made once: resolving one is a look-up.

use std::collections::HashMap;
use std::sync::Arc;

use super::settings::{Config, RouteSettings};
use crate::types::{CallTarget, Route};

/// Finds the route of a call. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RouteTable {
    default: Arc<Route>,
    by_called: Arc<HashMap<String, Arc<Route>>>,
    by_name: Arc<HashMap<String, Arc<Route>>>,
}

impl RouteTable {
    /// The route that is asked for: by a name or a key there has to be one, a called number
    /// that no route claims takes the default one, as does who asks for nothing.
    #[must_use]
    pub fn resolve(&self, target: Option<&CallTarget>) -> Option<Arc<Route>> {
        let route = match target {
            None => Some(&self.default),
            Some(CallTarget::Called(called)) => {
                Some(self.by_called.get(called).unwrap_or(&self.default))
            }
            Some(CallTarget::Route(name)) => {
                self.by_called.get(name).or_else(|| self.by_name.get(name))
            }
        };
        route.map(Arc::clone)
    }

    /// Every route, the default one first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Route>> {
        let mut named: Vec<_> =
            self.by_name.values().filter(|route| !Arc::ptr_eq(route, &self.default)).collect();
        named.sort_by(|a, b| a.name.cmp(&b.name));
        std::iter::once(&self.default).chain(named)
    }
}

impl Config {
    /// Makes the routes.
    #[must_use]
    pub fn routes(&self) -> RouteTable {
        let default = Arc::new(route(DEFAULT_ROUTE, &self.route));
        let mut by_called = HashMap::new();
        let mut by_name = HashMap::from([(DEFAULT_ROUTE.to_owned(), Arc::clone(&default))]);
        for named in &self.routes {
            let route = Arc::new(route(&named.name, &named.settings));
            by_called
                .extend(named.called.iter().map(|called| (called.clone(), Arc::clone(&route))));
            by_name.insert(named.name.clone(), route);
        }
        RouteTable { default, by_called: Arc::new(by_called), by_name: Arc::new(by_name) }
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
