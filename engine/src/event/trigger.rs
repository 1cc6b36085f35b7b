//! Triggers: when a window is evaluated.

use std::time::Duration;

use crate::clock::EventTime;
use crate::event::strategy::millis;
use crate::event::window::TimeWindow;

/// What happens to a key's part of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerResult {
    /// Nothing.
    Continue,
    /// It is evaluated and goes on.
    Fire,
    /// It is emptied without being evaluated.
    Purge,
    /// It is evaluated and emptied.
    FireAndPurge,
}

/// What a trigger decides on.
#[derive(Clone, Copy, Debug)]
pub struct TriggerContext {
    /// The window.
    pub window: TimeWindow,
    /// Timestamp of the record that was just added.
    pub timestamp: EventTime,
    /// The operator's watermark.
    pub watermark: EventTime,
    /// Records of this key that were added since the last evaluation, this one included.
    pub count: u64,
}

/// Decides when windows are evaluated. It has no state of its own: what it needs to know is in the context.
pub trait Trigger: 'static {
    /// Called for every record that was added to a window.
    fn on_element(&self, context: &TriggerContext) -> TriggerResult;

    /// The next event time after `after` at which the window is evaluated, if there is one. Keys without new
    /// records since their last evaluation are passed over.
    fn next_event_time(&self, window: &TimeWindow, after: EventTime) -> Option<EventTime>;

    /// What happens at such a time.
    fn on_event_time(&self) -> TriggerResult {
        TriggerResult::Fire
    }
}

/// Evaluates a window when the watermark has reached its end, and again for every record that comes later but
/// within the allowed lateness. The default for all windows but the global one.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventTimeTrigger;

impl Trigger for EventTimeTrigger {
    fn on_element(&self, context: &TriggerContext) -> TriggerResult {
        match context.window.end <= context.watermark {
            true => TriggerResult::Fire,
            false => TriggerResult::Continue,
        }
    }

    fn next_event_time(&self, window: &TimeWindow, after: EventTime) -> Option<EventTime> {
        (after < window.end).then_some(window.end)
    }
}

/// Never evaluates a window: the default for the global one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NeverTrigger;

impl Trigger for NeverTrigger {
    fn on_element(&self, _context: &TriggerContext) -> TriggerResult {
        TriggerResult::Continue
    }

    fn next_event_time(&self, _window: &TimeWindow, _after: EventTime) -> Option<EventTime> {
        None
    }
}

/// Evaluates a key's part of a window whenever it has this many new records.
#[derive(Clone, Copy, Debug)]
pub struct CountTrigger(u64);

impl CountTrigger {
    /// After every `n` records. Valid: 1 or more; 0 counts as 1.
    pub fn of(n: u64) -> Self {
        CountTrigger(n.max(1))
    }
}

impl Trigger for CountTrigger {
    fn on_element(&self, context: &TriggerContext) -> TriggerResult {
        if context.count >= self.0 { TriggerResult::Fire } else { TriggerResult::Continue }
    }

    fn next_event_time(&self, _window: &TimeWindow, _after: EventTime) -> Option<EventTime> {
        None
    }
}

/// Evaluates a window at every multiple of an interval of event time that the watermark passes, and at its
/// end; once where it passes several at a time.
#[derive(Clone, Copy, Debug)]
pub struct ContinuousTrigger(EventTime);

impl ContinuousTrigger {
    /// At every multiple of `interval`, in whole milliseconds. Valid: 1 ms or more; less counts as 1 ms.
    pub fn of(interval: Duration) -> Self {
        ContinuousTrigger(millis(interval).max(1))
    }
}

impl Trigger for ContinuousTrigger {
    fn on_element(&self, context: &TriggerContext) -> TriggerResult {
        EventTimeTrigger.on_element(context)
    }

    fn next_event_time(&self, window: &TimeWindow, after: EventTime) -> Option<EventTime> {
        let after = after.max(window.start);
        let next = after.saturating_sub(after.rem_euclid(self.0)).saturating_add(self.0);
        (after < window.end).then_some(next.min(window.end))
    }
}

/// As another trigger, but what was evaluated is emptied.
#[derive(Clone, Copy, Debug)]
pub struct PurgingTrigger<T>(T);

impl<T: Trigger> PurgingTrigger<T> {
    /// Empties what `trigger` evaluates.
    pub fn of(trigger: T) -> Self {
        PurgingTrigger(trigger)
    }
}

impl<T: Trigger> Trigger for PurgingTrigger<T> {
    fn on_element(&self, context: &TriggerContext) -> TriggerResult {
        purging(self.0.on_element(context))
    }

    fn next_event_time(&self, window: &TimeWindow, after: EventTime) -> Option<EventTime> {
        self.0.next_event_time(window, after)
    }

    fn on_event_time(&self) -> TriggerResult {
        purging(self.0.on_event_time())
    }
}

fn purging(result: TriggerResult) -> TriggerResult {
    if result == TriggerResult::Fire { TriggerResult::FireAndPurge } else { result }
}
