package httpapi

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/pactwire/pactwire"
)

// list is the shape of every list.
type list[T any] struct {
	Items   []T           `json:"items"`
	HasMore bool          `json:"hasMore"`
	HeadSeq *pactwire.Seq `json:"headSeq,omitempty"`
}

// page cuts a list that the port returns whole.
func page[T any](items []T, limit int) list[T] {
	more := len(items) > limit
	if more {
		items = items[:limit]
	}
	if items == nil {
		items = []T{}
	}
	return list[T]{Items: items, HasMore: more}
}

// behind drops a list up to and with the item that ?after= names. One that is gone meanwhile is looked for by its place, where ids
// ascend as ours do with time; elsewhere nobody can say where to go on, and to begin again unasked would never end.
func behind[T any](items []T, r *http.Request, id func(T) string) ([]T, error) {
	after := r.URL.Query().Get("after")
	if after == "" {
		return items, nil
	}
	if i := slices.IndexFunc(items, func(t T) bool { return id(t) == after }); i >= 0 {
		return items[i+1:], nil
	}
	ascending := slices.IsSortedFunc(items, func(a, b T) int { return strings.Compare(id(a), id(b)) })
	if u, err := uuid.Parse(after); err != nil || u.Version() != 7 || u.String() != after || !ascending {
		return nil, pactwire.FieldErrorf("after", "%q is not in the list (any more); begin again without after", after)
	}
	i, _ := slices.BinarySearchFunc(items, after, func(t T, after string) int { return strings.Compare(id(t), after) })
	return items[i:], nil
}

// The limits of lists.
const (
	defaultLimit = 50
	maxLimit     = 200
)

// limitOf reads ?limit=; what is more than allowed gets what is allowed.
func limitOf(r *http.Request) (int, error) {
	s := r.URL.Query().Get("limit")
	if s == "" {
		return defaultLimit, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n == 0 {
		return 0, pactwire.FieldErrorf("limit", "limit is a number from 1 to %d", maxLimit)
	}
	return min(int(n), maxLimit), nil
}

// seqOf reads a place in a stream; nil when it is not given.
func seqOf(r *http.Request, name string) (*pactwire.Seq, error) {
	q := r.URL.Query()
	if !q.Has(name) {
		return nil, nil
	}
	n, err := strconv.ParseUint(q.Get(name), 10, 63)
	if err != nil {
		return nil, pactwire.FieldErrorf(name, "%s is a whole number, 0 or more", name)
	}
	seq := pactwire.Seq(n)
	return &seq, nil
}

// pactOf is the pact that the path names.
func pactOf(r *http.Request) (pactwire.PactID, error) {
	id := pactwire.PactID(r.PathValue("id"))
	if !pactwire.ValidID(id) {
		return "", noPact()
	}
	return id, nil
}
