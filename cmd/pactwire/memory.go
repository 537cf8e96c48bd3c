package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// tuneMemory trades memory that is there for CPU: most of the heap lives as long as a connection, so collecting it often
// finds little. GOGC of the environment comes first.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// What counts as quiet, and what is worth a collection.
const (
	trimEvery = 3 * time.Second
	quiet     = 8 << 20  // bytes allocated in a period, besides what grows with the heap
	worth     = 48 << 20 // bytes allocated since the last time
)

// giveBack returns to the operating system what a storm of connections left behind, as soon as it is quiet: connecting
// costs several times what a connection costs afterwards, and without this the garbage would stay until the heap has
// grown by another four hundred per cent. It ends with ctx.
func giveBack(ctx context.Context) {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	var before, trimmed uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(sample)
		now, heap := sample[0].Value.Uint64(), sample[1].Value.Uint64()
		// The library's housekeeping allocates in proportion to the connections; that is no work.
		if now-before < quiet+heap/16 && now-trimmed > worth+heap {
			runtime.GC() // a stack shrinks by half at each
			debug.FreeOSMemory()
			trimmed = now
		}
		before = now
	}
}
