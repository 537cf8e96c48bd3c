package relay

import (
	"context"
	"sync"
	"time"

	"github.com/pactwire/pactwire/internal/pace"
)

// queue holds what waits for one goroutine, in order, at most so much.
type queue[T any] struct {
	max    int
	signal chan struct{} // of size 1
	mu     *sync.Mutex
	list   *[]T
}

func newQueue[T any](limit int) queue[T] {
	return queue[T]{max: limit, signal: make(chan struct{}, 1), mu: new(sync.Mutex), list: new([]T)}
}

// add reports false when there is no room.
func (q queue[T]) add(v T) bool {
	q.mu.Lock()
	if len(*q.list) >= q.max {
		q.mu.Unlock()
		return false
	}
	*q.list = append(*q.list, v)
	q.mu.Unlock()
	wake(q.signal)
	return true
}

// take waits for something and returns at most n; nil at the end.
func (q queue[T]) take(ctx context.Context, n int) []T {
	for {
		q.mu.Lock()
		n := min(n, len(*q.list))
		batch := (*q.list)[:n:n]
		if *q.list = (*q.list)[n:]; len(*q.list) == 0 {
			*q.list = nil
		}
		q.mu.Unlock()
		if ctx.Err() != nil {
			return nil
		}
		if n > 0 {
			return batch
		}
		select {
		case <-q.signal:
		case <-ctx.Done():
			return nil
		}
	}
}

// await waits for something, and then a little for more; false at the end.
func (q queue[T]) await(ctx context.Context, more time.Duration) bool {
	if q.len() == 0 {
		select {
		case <-q.signal:
		case <-ctx.Done():
			return false
		}
	}
	return pace.Pause(ctx, more)
}

func (q queue[T]) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(*q.list)
}

// set holds what waits for one goroutine, each once. What bounds it is how many there are.
type set[K comparable] struct {
	signal chan struct{} // of size 1
	mu     *sync.Mutex
	keys   map[K]struct{}
}

func newSet[K comparable]() set[K] {
	return set[K]{signal: make(chan struct{}, 1), mu: new(sync.Mutex), keys: make(map[K]struct{})}
}

func (s set[K]) add(k K) {
	s.mu.Lock()
	s.keys[k] = struct{}{}
	s.mu.Unlock()
	wake(s.signal)
}

// drop takes one away and reports whether it was there.
func (s set[K]) drop(k K) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.keys[k]
	delete(s.keys, k)
	return ok
}

func (s set[K]) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.keys)
}

// take waits for some and returns at most n; nil at the end.
func (s set[K]) take(ctx context.Context, n int) []K {
	for {
		batch := s.some(n)
		if ctx.Err() != nil {
			return nil
		}
		if len(batch) > 0 {
			return batch
		}
		select {
		case <-s.signal:
		case <-ctx.Done():
			return nil
		}
	}
}

// some takes at most n without waiting.
func (s set[K]) some(n int) (batch []K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.keys {
		if len(batch) == n {
			break
		}
		batch = append(batch, k)
		delete(s.keys, k)
	}
	return batch
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (s set[K]) has(k K) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.keys[k]
	return ok
}
