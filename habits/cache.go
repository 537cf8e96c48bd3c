package habits

import (
	"container/list"
	"sync"
)

// cache keeps the values that were used last, at most so many by weight; the overflow rule is that the one unused for the
// longest time goes first. A nil cache keeps nothing.
type cache[K comparable, V any] struct {
	max    int
	weigh  func(V) int
	mu     sync.Mutex
	weight int
	byKey  map[K]*list.Element
	order  list.List // of *cached[K, V], most recently used first
}

type cached[K comparable, V any] struct {
	key    K
	value  V
	weight int
}

func newCache[K comparable, V any](max int, weigh func(V) int) *cache[K, V] {
	return &cache[K, V]{max: max, weigh: weigh, byKey: map[K]*list.Element{}}
}

func (c *cache[K, V]) get(k K) (v V, ok bool) {
	if c == nil {
		return v, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.byKey[k]
	if !ok {
		return v, false
	}
	c.order.MoveToFront(el)
	return el.Value.(*cached[K, V]).value, true
}

func (c *cache[K, V]) put(k K, v V) {
	if c == nil {
		return
	}
	w := c.weigh(v)
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.byKey[k]; ok {
		e := el.Value.(*cached[K, V])
		c.weight += w - e.weight
		e.value, e.weight = v, w
		c.order.MoveToFront(el)
	} else {
		c.byKey[k] = c.order.PushFront(&cached[K, V]{k, v, w})
		c.weight += w
	}
	for c.weight > c.max && c.order.Len() > 0 {
		c.remove(c.order.Back())
	}
}

func (c *cache[K, V]) drop(k K) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.byKey[k]; ok {
		c.remove(el)
	}
}

func (c *cache[K, V]) remove(el *list.Element) {
	e := c.order.Remove(el).(*cached[K, V])
	c.weight -= e.weight
	delete(c.byKey, e.key)
}

func (c *cache[K, V]) clear() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.byKey)
	c.order.Init()
	c.weight = 0
}
