package testkit

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// CanSetClock tells whether SetClock works on this system.
const CanSetClock = true

// SetClock has the running process read the time of day d off the system's, in whole seconds, as after a step of its
// machine's clock; its monotonic clock is untouched. The next process starts with the right time.
//
// A Go program reads the time through the vDSO, a page of code that the kernel maps into each process: LD_PRELOAD does
// not reach it, and a time namespace shifts monotonic clocks alone. So the copy of this one process is patched, as a
// debugger sets a breakpoint.
func (s *Server) SetClock(d time.Duration) {
	s.t.Helper()
	for {
		err := s.setClock(d)
		if err == nil {
			return
		}
		if !errors.Is(err, errBusy) {
			s.t.Fatalf("testkit: set the clock of process %d: %v", s.PID(), err)
		}
	}
}

func (s *Server) setClock(d time.Duration) error {
	s.t.Helper()
	s.Freeze()
	defer s.Thaw()
	pid := s.PID()
	if !Within(startLimit, func() bool { return stopped(s.t, pid) }) {
		return errors.New("it does not stop")
	}
	return setClock(pid, int64(d/time.Second))
}

var errBusy = errors.New("a thread is reading the clock at this very instruction")

// realtime is a clock_gettime that asks the kernel and adds an offset to CLOCK_REALTIME. The offset, 8 bytes, follows it.
var realtime = []byte{
	0xb8, 0xe4, 0, 0, 0, // mov  eax, 228 (clock_gettime)
	0x0f, 0x05, // syscall
	0x85, 0xff, // test edi, edi (CLOCK_REALTIME is 0)
	0x75, 0x0e, // jne  ret
	0x85, 0xc0, // test eax, eax
	0x75, 0x0a, // jne  ret
	0x48, 0x8b, 0x15, 4, 0, 0, 0, // mov rdx, [rip+4]
	0x48, 0x01, 0x16, // add  [rsi], rdx
	0xc3, // ret
}

func setClock(pid int, seconds int64) (err error) {
	start, image, err := readVDSO(pid)
	if err != nil {
		return err
	}
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return err
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return err
	}
	var entry uint64
	for _, s := range symbols {
		if s.Name == "__vdso_clock_gettime" {
			entry = s.Value
		}
	}
	// The code goes into the unused end of the last page, and the function's beginning becomes a jump to it.
	place := uint64(len(image) - len(realtime) - 8)
	if entry == 0 || entry+5 > place || len(bytes.Trim(image[place-8:place], "\x00")) > 0 {
		return errors.New("the vDSO is not as expected")
	}
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, mem.Close()) }()
	code := binary.LittleEndian.AppendUint64(bytes.Clone(realtime), uint64(seconds))
	if _, err := mem.WriteAt(code, int64(start+place)); err != nil {
		return err
	}
	jump := binary.LittleEndian.AppendUint32([]byte{0xe9}, uint32(place-entry-5))
	if bytes.Equal(image[entry:entry+5], jump) {
		return nil
	}
	if err := nobodyAt(pid, start+entry+1, start+entry+5); err != nil {
		return err
	}
	_, err = mem.WriteAt(jump, int64(start+entry))
	return err
}

// readVDSO returns where the vDSO lies in a process, and its bytes.
func readVDSO(pid int) (start uint64, image []byte, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, nil, err
	}
	for l := range strings.Lines(string(maps)) {
		if !strings.HasSuffix(strings.TrimSpace(l), "[vdso]") {
			continue
		}
		var end uint64
		if _, err := fmt.Sscanf(l, "%x-%x", &start, &end); err != nil {
			return 0, nil, err
		}
		mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
		if err != nil {
			return 0, nil, err
		}
		image = make([]byte, end-start)
		_, err = mem.ReadAt(image, int64(start))
		return start, image, errors.Join(err, mem.Close())
	}
	return 0, nil, errors.New("no vDSO")
}

// nobodyAt makes sure that no thread of a stopped process is about to execute the bytes from one address to another.
func nobodyAt(pid int, from, to uint64) error {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return err
	}
	for _, task := range tasks {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/syscall", pid, task.Name()))
		if err != nil {
			return err
		}
		words := strings.Fields(string(b))
		pc, err := strconv.ParseUint(words[len(words)-1], 0, 64)
		if err != nil {
			return fmt.Errorf("thread %s: %q", task.Name(), b)
		}
		if from <= pc && pc < to {
			return errBusy
		}
	}
	return nil
}

// stopped tells whether all threads of a process have stopped.
func stopped(t testing.TB, pid int) bool {
	t.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/stat", pid, task.Name()))
		if err != nil {
			return false
		}
		// pid (name) state …
		rest := b[bytes.LastIndexByte(b, ')')+1:]
		if state := bytes.TrimSpace(rest)[0]; state != 'T' && state != 't' {
			return false
		}
	}
	return true
}
