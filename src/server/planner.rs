//! Gives each call its route and the providers that go with it.

use std::sync::Arc;

use crate::actors::{CallKit, CallPlanner, Clock, ServiceRuntime};
use crate::config::RouteTable;
use crate::services::{PromptCache, Providers};
use crate::telemetry::Telemetry;
use crate::types::{CallTarget, Route};

/// What all calls share.
pub struct Planner {
    pub clock: Clock,
    pub routes: RouteTable,
    pub providers: Providers,
    pub prompts: Arc<PromptCache>,
    pub runtime: ServiceRuntime,
    pub telemetry: Telemetry,
}

impl CallPlanner for Planner {
    fn route(&self, target: Option<&CallTarget>) -> Option<Arc<Route>> {
        self.routes.resolve(target)
    }

    fn kit(&self, route: &Route) -> Option<CallKit> {
        Some(CallKit {
            clock: self.clock,
            runtime: self.runtime.clone(),
            stt: Arc::clone(self.providers.stt.get(&route.stt)?),
            dialog: Arc::clone(self.providers.dialog.get(&route.dialog)?),
            tts: Arc::clone(self.providers.tts.get(&route.tts)?),
            prompts: Arc::clone(&self.prompts),
            telemetry: self.telemetry.clone(),
        })
    }
}
