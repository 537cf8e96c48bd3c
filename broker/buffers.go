package broker

import "sync"

// Buffers for packets that do not fit a connection's own small one are shared, and held only while such a packet is under
// way. A connection gets the next size when the bytes have come, not when they are announced.
const (
	ownBuffer     = 448 // so that a Conn is of a size that the allocator has
	libraryBuffer = 128 // the library's own, which serves to read fixed headers one byte at a time; packets go round it
	firstBuffer   = 4 << 10
	bufferStep    = 4 // each size is so many times the former
)

var bufferPools = [3]sync.Pool{} // 4, 16 and 64 KiB; larger ones are left to the collector

func poolOf(size int) *sync.Pool {
	for i, n := 0, firstBuffer; i < len(bufferPools); i, n = i+1, n*bufferStep {
		if size == n {
			return &bufferPools[i]
		}
	}
	return nil
}

func takeBuffer(size int) []byte {
	if p := poolOf(size); p != nil {
		if b, ok := p.Get().(*[]byte); ok {
			return *b
		}
	}
	return make([]byte, size)
}

func giveBuffer(b []byte) {
	if p := poolOf(len(b)); p != nil {
		p.Put(&b)
	}
}
