// Package push tells people who are not looking. What is worth a push is written as a job in the transaction of the entry
// that tells of it; a device of a person's that acknowledges the entry cancels the job. What is left after Config.Delay is
// weighed (quiet hours, the day's cap, what the person wants), put into words, and handed to the channels: a webhook, FCM,
// APNs, Web Push. Each message is tried again, under the same id, until it is taken or a day is over.
//
// Everything lies in the store, so a crash loses nothing, and any node of several may do any part of the work: a row is
// claimed before it is worked on, and a claim that its owner did not live to settle runs out. What was sent and could not
// be noted as sent is sent again, under the same id.
//
// Rules, Decide and the words are pure functions. Pusher runs them.
package push
