//! Every metric the engine has: name, unit, help, labels and buckets, and the
//! handles through which the events of this folder write them.
//!
//! A metric exists here or not at all, and every label value is from a closed
//! list: no call id, number, URL, intent or text can become a time series. All
//! series are registered at start, so a counter that never counted reads zero.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder, Unit};

use super::metric_labels::{PROVIDER, ROUTE};
use super::metric_list::SPECS;

/// What a metric measures and how.
pub(super) struct Spec {
    pub(super) metric: Metric,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) unit: Unit,
    pub(super) help: &'static str,
    pub(super) labels: &'static [LabelSpec],
}

/// A label and all values it can have. Without values it is open: the routes, the threads
/// or the providers of this process, known when they start.
pub(super) struct LabelSpec {
    pub(super) name: &'static str,
    pub(super) values: &'static [&'static str],
}

/// The kind of a metric.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    /// With the upper bounds of its buckets, ascending.
    Histogram(&'static [f64]),
}

/// The metrics that events write. [`SPECS`] describes them in the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    BuildInfo,
    Draining,
    CallsActive,
    CallsMax,
    CallsStarted,
    CallsEnded,
    CallsRefused,
    CallDuration,
    MediaLosses,
    MediaAway,
    MediaBytes,
    RingFill,
    SpeechStarts,
    Utterances,
    UtteranceSpeech,
    UtterancesIgnored,
    UtterancesNotUnderstood,
    TurnsAnswered,
    TurnsAbandoned,
    TurnsUnheard,
    ReplyFlaws,
    Interruptions,
    FalseInterruptions,
    InterruptionUnheard,
    FallbacksPlayed,
    EndOfSpeechLatency,
    SttLatency,
    DialogLatency,
    TtsLatency,
    ResponseLatency,
    TurnLatency,
    TurnStage,
    SttFailures,
    DialogFailures,
    TtsFailures,
    SpeechLeftOut,
    AudioWait,
    AudioDropped,
    AudioMissing,
    AudioStale,
    ReplyAudioGaps,
    CarrierEventsLeftOut,
    RateSuspicions,
    InputsRefused,
    ChildRestarts,
    RestartLimits,
    StaleMessages,
    ActorRestarts,
    WorkerRestarts,
    ProviderChanges,
    DialogThrottles,
    DialogAttempts,
    DialogRetries,
    PermitWait,
    DialogPermitsMax,
    DialogWaitingMax,
    DialogInFlight,
    DialogWaiting,
    EventsWritten,
    EventsDropped,
    EventFileFailures,
    SpansExported,
    SpansDropped,
    LogLinesLost,
    ProviderReady,
    PromptsMissing,
    BreakerState,
    BreakerOpenings,
    BreakerRefusals,
    ArbiterCalls,
    ArbiterOpen,
    ArbiterBusy,
    ArbiterLateness,
    ArbiterLag,
    LateFrames,
}

/// Registered handles of every metric.
pub(super) struct Metrics {
    /// One entry per [`Metric`], in order.
    families: Vec<Family>,
    /// The routes of the configuration.
    routes: Vec<String>,
}

/// The series of one metric: those of each route, or those there are without. None where
/// threads or providers keep their own.
struct Family(Vec<Series>);

/// One handle of a metric per combination of the values of closed labels.
#[derive(Debug)]
pub(super) struct Series {
    metric: Metric,
    handles: Vec<(Vec<&'static str>, Handle)>,
}

/// The metrics as the calls of one route write them.
pub(super) struct RouteMetrics<'a> {
    metrics: &'a Metrics,
    /// Its place in the list of routes.
    route: usize,
}

#[derive(Debug)]
pub(super) enum Handle {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

impl Metrics {
    /// Describes and registers everything with the recorder of this thread, or
    /// else of the process. Without one, what is written goes nowhere.
    pub(super) fn register(routes: Vec<String>) -> Self {
        debug_assert!(
            SPECS.iter().enumerate().all(|(index, spec)| spec.metric as usize == index),
            "the list of metrics is not in the order of the enum"
        );
        let metrics = metrics::with_recorder(|recorder| Self {
            families: SPECS.iter().map(|spec| Family::register(spec, &routes, recorder)).collect(),
            routes,
        });
        for values in Metric::BuildInfo.spec().label_values() {
            metrics.set(Metric::BuildInfo, &values, 1.0);
        }
        metrics
    }

    /// For the events of a call of `route`.
    pub(super) fn of_route(&self, route: &str) -> RouteMetrics<'_> {
        let found = self.routes.iter().position(|name| name == route);
        debug_assert!(found.is_some(), "{route} is no route of the configuration");
        RouteMetrics { metrics: self, route: found.unwrap_or(usize::MAX) }
    }

    /// Adds `amount` to a counter.
    pub(super) fn count(&self, metric: Metric, labels: &[&str], amount: u64) {
        if let Some(Handle::Counter(counter)) = self.find(metric, 0, labels) {
            counter.increment(amount);
        }
    }

    /// Records a length of time in milliseconds in a histogram of seconds.
    pub(super) fn observe_ms(&self, metric: Metric, labels: &[&str], ms: u64) {
        if let Some(Handle::Histogram(histogram)) = self.find(metric, 0, labels) {
            histogram.record(seconds(ms));
        }
    }

    /// Sets a gauge.
    pub(super) fn set(&self, metric: Metric, labels: &[&str], value: f64) {
        if let Some(Handle::Gauge(gauge)) = self.find(metric, 0, labels) {
            gauge.set(value);
        }
    }

    /// Moves a gauge up or down.
    pub(super) fn shift(&self, metric: Metric, by: f64) {
        if let Some(Handle::Gauge(gauge)) = self.find(metric, 0, &[]) {
            gauge.increment(by);
        }
    }

    /// The series with these label values, those of the `route`-th route where there are
    /// such.
    fn find(&self, metric: Metric, route: usize, labels: &[&str]) -> Option<&Handle> {
        let Family(families) = &self.families[metric as usize];
        let place = if metric.spec().is_by_route() { route } else { 0 };
        families.get(place)?.find(labels)
    }
}

impl Series {
    /// Counts one more.
    pub(super) fn count(&self, labels: &[&str]) {
        if let Some(Handle::Counter(counter)) = self.find(labels) {
            counter.increment(1);
        }
    }

    /// Records a length of time in a histogram.
    pub(super) fn observe(&self, labels: &[&str], length: Duration) {
        if let Some(Handle::Histogram(histogram)) = self.find(labels) {
            histogram.record(length.as_secs_f64());
        }
    }

    /// The one with these label values. A value missing from its closed list is a mistake in
    /// the list; the tests go through all of them.
    fn find(&self, labels: &[&str]) -> Option<&Handle> {
        let found = self.handles.iter().find(|(values, _)| values == labels);
        debug_assert!(found.is_some(), "{:?} has no series {labels:?}", self.metric);
        found.map(|(_, handle)| handle)
    }
}

impl RouteMetrics<'_> {
    /// Adds `amount` to a counter.
    pub(super) fn count(&self, metric: Metric, labels: &[&str], amount: u64) {
        if let Some(Handle::Counter(counter)) = self.metrics.find(metric, self.route, labels) {
            counter.increment(amount);
        }
    }

    /// Records a length of time in milliseconds in a histogram of seconds.
    pub(super) fn observe_ms(&self, metric: Metric, labels: &[&str], ms: u64) {
        if let Some(Handle::Histogram(histogram)) = self.metrics.find(metric, self.route, labels) {
            histogram.record(seconds(ms));
        }
    }
}

impl Metric {
    /// What the list says of it.
    pub(super) const fn spec(self) -> &'static Spec {
        &SPECS[self as usize]
    }

    /// Registers the series of one media thread, or of one provider.
    pub(super) fn register_open(self, labels: Vec<Label>) -> Handle {
        metrics::with_recorder(|recorder| {
            self.spec().describe(recorder);
            self.spec().handle(labels, recorder)
        })
    }

    /// Registers the series of one provider, one for each value of the other labels.
    pub(super) fn register_of_provider(self, provider: &'static str) -> Series {
        metrics::with_recorder(|recorder| {
            self.spec().describe(recorder);
            self.spec().series(Some(Label::new(PROVIDER.name, provider)), recorder)
        })
    }
}

impl Family {
    fn register(spec: &Spec, routes: &[String], recorder: &dyn Recorder) -> Self {
        spec.describe(recorder);
        if spec.is_registered_later() {
            Self(Vec::new())
        } else if spec.is_by_route() {
            let label = |route: &String| Label::new(ROUTE.name, route.clone());
            Self(routes.iter().map(|route| spec.series(Some(label(route)), recorder)).collect())
        } else {
            Self(vec![spec.series(None, recorder)])
        }
    }
}

impl Spec {
    fn describe(&self, recorder: &dyn Recorder) {
        let (name, unit, help) = (self.name.into(), Some(self.unit), self.help.into());
        match self.kind {
            Kind::Counter => recorder.describe_counter(name, unit, help),
            Kind::Gauge => recorder.describe_gauge(name, unit, help),
            Kind::Histogram(_) => recorder.describe_histogram(name, unit, help),
        }
    }

    fn handle(&self, labels: Vec<Label>, recorder: &dyn Recorder) -> Handle {
        let key = Key::from_parts(self.name, labels);
        match self.kind {
            Kind::Counter => Handle::Counter(recorder.register_counter(&key, &METADATA)),
            Kind::Gauge => Handle::Gauge(recorder.register_gauge(&key, &METADATA)),
            Kind::Histogram(_) => Handle::Histogram(recorder.register_histogram(&key, &METADATA)),
        }
    }

    /// Whether each route has series of its own.
    fn is_by_route(&self) -> bool {
        self.labels.first().is_some_and(|label| label.name == ROUTE.name)
    }

    /// A handle for each combination of closed label values, all of them with `first`.
    fn series(&self, first: Option<Label>, recorder: &dyn Recorder) -> Series {
        let register = |values: Vec<&'static str>| {
            let closed = self.closed_labels().zip(&values);
            let closed = closed.map(|(label, value)| Label::new(label.name, *value));
            let handle = self.handle(first.iter().cloned().chain(closed).collect(), recorder);
            (values, handle)
        };
        let handles = self.label_values().into_iter().map(register).collect();
        Series { metric: self.metric, handles }
    }

    /// Whether its series are registered by the thread or the provider that writes them.
    fn is_registered_later(&self) -> bool {
        let is_open = |label: &LabelSpec| label.values.is_empty() && label.name != ROUTE.name;
        self.labels.iter().any(is_open)
    }

    /// All labels of which the values are known.
    fn closed_labels(&self) -> impl Iterator<Item = &'static LabelSpec> {
        self.labels.iter().filter(|label| !label.values.is_empty())
    }

    /// Every combination of label values; one empty one without labels.
    fn label_values(&self) -> Vec<Vec<&'static str>> {
        let mut combinations = vec![Vec::new()];
        for label in self.closed_labels() {
            combinations = combinations
                .iter()
                .flat_map(|head: &Vec<&'static str>| {
                    label.values.iter().map(move |value| [head.as_slice(), &[*value]].concat())
                })
                .collect();
        }
        combinations
    }
}

impl Metric {
    /// Sets the series of a counter that is counted elsewhere, where there may be no recorder.
    pub(super) fn set_counter(self, label: &'static str, value: &'static str, count: u64) {
        if let Handle::Counter(counter) = self.register_open(vec![Label::new(label, value)]) {
            counter.absolute(count);
        }
    }
}

/// Tells whether a provider works. Changes are rare, so the series is looked up
/// each time; providers are named by the configuration, so their number is bounded.
pub(super) fn set_provider_ready(service: &'static str, provider: &str, ready: bool) {
    let labels = vec![Label::new("service", service), Label::new("provider", provider.to_owned())];
    if let Handle::Gauge(gauge) = Metric::ProviderReady.register_open(labels) {
        gauge.set(f64::from(u8::from(ready)));
    }
}

/// Exact up to 2^53 ms, which are 285,000 years.
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

const METADATA: Metadata<'static> = Metadata::new("antiphon", Level::INFO, None);
