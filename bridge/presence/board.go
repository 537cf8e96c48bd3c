package presence

import (
	"context"

	"github.com/pactwire/pactwire"
)

// Board is where each node says who is there at it, and learns what all of them say together. It may forget all at any
// moment, and be away.
type Board interface {
	// Say takes this node's words, in order. Of each change one speaker is told, on whichever node.
	Say(ctx context.Context, words []pactwire.Word) ([]pactwire.Said, error)
	// Presence tells what is said of people.
	Presence(ctx context.Context, users []pactwire.UserID) ([]pactwire.Said, error)
	// People are some of those of whom a node has said something, SayFor speaks for a node that cannot any more, and Remove
	// forgets it.
	People(ctx context.Context, node string, n int64) ([]pactwire.UserID, error)
	SayFor(ctx context.Context, node string, words []pactwire.Word) ([]pactwire.Said, error)
	Remove(ctx context.Context, node string) error
}
