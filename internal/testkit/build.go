package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// Root is the folder of the module: the nearest one above the working directory, where go test runs a test.
func Root() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			panic("testkit: the working directory is not in the module")
		}
		dir = up
	}
}

var build struct {
	once sync.Once
	path string
	err  error
}

// Binary builds pactwire with the race detector and returns its path. Packages whose tests run at the same time share the
// file: the first builds it, the others find it up to date.
func Binary(t testing.TB) string {
	t.Helper()
	build.once.Do(func() { build.path, build.err = buildBinary() })
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.path
}

// UseBinary sets the program that servers run, instead of one that is built for tests.
func UseBinary(path string) { build.once.Do(func() { build.path = path }) }

func buildBinary() (path string, err error) {
	dir := filepath.Join(Root(), "bin", "testkit")
	unlock, err := lock(dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	path = filepath.Join(dir, "pactwire")
	cmd := exec.Command("go", "build", "-race", "-o", path, "./cmd/pactwire")
	cmd.Dir = Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

// lock makes the folder and holds it alone, among all processes, until unlock is called.
func lock(dir string) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil // which unlocks
}
