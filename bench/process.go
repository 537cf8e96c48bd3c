package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// clockTick is the unit of CPU times in /proc, a hundredth of a second on every Linux that Go runs on.
const clockTick = 100

// usage is what processes have used so far.
type usage struct {
	cpu float64 // seconds, user and system
	rss int64   // bytes
}

// readUsage adds up the processes; none gives zero.
func readUsage(pids []int) (usage, error) {
	var u usage
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return u, err
		}
		// The name in brackets may hold anything; fields count from after it.
		f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(f) < 22 {
			return u, fmt.Errorf("process %d: cannot read its stat", pid)
		}
		user, err1 := strconv.ParseInt(f[11], 10, 64)
		system, err2 := strconv.ParseInt(f[12], 10, 64)
		pages, err3 := strconv.ParseInt(f[21], 10, 64)
		if err1 != nil || err2 != nil || err3 != nil {
			return u, fmt.Errorf("process %d: cannot read its stat", pid)
		}
		u.cpu += float64(user+system) / clockTick
		u.rss += pages * int64(os.Getpagesize())
	}
	return u, nil
}
