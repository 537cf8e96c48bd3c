// Package habits is the habits-service: what people promised each other, and what became of it on each day.
//
// Three parts stand on each other:
//
//   - The rules are pure functions over local dates: [LocalDay] and [Zone] say which day it is for a person, [Summarize]
//     makes runs of days out of the completed dates, grace days included. They know no clock and no store.
//   - The engine, [Embedded], applies one check-in inside a transaction that someone else commits. [Service] does the same
//     for goals, the life of pacts, profiles and streaks, through an [Executor].
//   - [Host] makes the two a process of its own, with the HTTP dialect of the seed, an outbox of signed webhooks and first
//     results kept by Idempotency-Key. [Client] speaks that dialect, and passes other calls on with the user's own token.
//
// What the package promises: a person has one row for a habit and local date, and the last word wins. The streak is a
// function of the set of completed dates alone, so it does not matter in which order, how often or how late they arrive. A
// milestone is announced once for a run, also when days are taken back and given again.
//
// Frequencies: daily habits follow the rules in full. For habits with target weekdays (custom, or weekly with days) only
// target days can be missed; for weekly habits without days only whole weeks, Monday to Sunday, in which nothing was
// completed. In every case the length of a run is the number of completed dates, and a grace day covers one missed unit.
// How often a week (frequencyCount) is kept and shown, and not yet asked of anybody.
//
// What it never does: touch the log of activities, talk to connections, or retry a call. Those are the bridge's.
package habits
