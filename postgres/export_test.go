package postgres

import "time"

// Remember sets how many names the committer remembers. It must come before the first Submit.
func (d *DB) Remember(names int) { d.maxNames = names }

// Window is the least time from one commit of this node to the next.
func (d *DB) Window() time.Duration { return time.Duration(d.window.Load()) }

// Queued is how many functions wait for the committer to take them.
func (d *DB) Queued() int { return len(d.k.queue) }

// StandingOwners is the statement that is asked once a minute, however many sessions stand.
const StandingOwners = sqlStandingOwners

// The statements of a slice of pruning: what makes the transaction ready, and what drops.
const (
	PruneAlone    = sqlPruneAlone
	PruneEntries  = sqlPruneEntries
	PruneCommands = sqlPruneCommands
)
