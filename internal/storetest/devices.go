package storetest

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
)

var deviceTests = []test{
	{"devices are kept", on(testDevices)},
	{"an owner has so many devices and no more", on(testDeviceLimit)},
	{"a sighting never turns the clock back", on(testSightings)},
	{"a removed device is revoked in the same transaction", on(testRemoveDevice)},
	{"revocations are kept", on(testRevocations)},
	{"revocations are forgotten when their time is over", on(testForgetRevocations)},
}

func device(id pactwire.DeviceID, owner pactwire.UserID, made time.Time) pactwire.Device {
	sum := sha256.Sum256([]byte(id))
	return pactwire.Device{ID: id, Name: "Knopf am Kühlschrank", Kind: pactwire.KindButton, PactID: "p1", HabitGoalID: "g1",
		CreatedAt: pactwire.Time(made), Owner: owner, SecretHash: sum[:]}
}

func testDevices(t *testing.T, s Store) {
	first, second := device("AaIUZXg-dGqyPBP5dBd8DA", "alice", noon), device("AaIUZXg-dGqyPBP5dBd8DB", "alice", noon.Add(time.Second))
	for _, d := range []pactwire.Device{second, first, device("bobs", "bob", noon)} {
		if err := s.AddDevice(ctx, d, 2); err != nil {
			t.Fatal(err)
		}
	}
	s = s.Reopen(t)
	got, ok, err := s.Device(ctx, first.ID)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	same(t, "device", first, got)
	if got, ok, err := s.Device(ctx, "unknown"); ok || err != nil {
		t.Errorf("%+v %v", got, err)
	}
	list, err := s.DevicesOf(ctx, "alice")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "devices, oldest first", []pactwire.Device{first, second}, list)
	if list, err := s.DevicesOf(ctx, "nobody"); len(list) != 0 || err != nil {
		t.Error(list, err)
	}
}

func testDeviceLimit(t *testing.T, s Store) {
	var all sync.WaitGroup
	var taken, refused atomic.Int32
	for i := range 12 { // at once, so that a count outside the transaction would let too many through
		all.Go(func() {
			switch err := s.AddDevice(ctx, device(pactwire.DeviceID(fmt.Sprint("d", i)), "alice", noon), 5); {
			case err == nil:
				taken.Add(1)
			case pactwire.CodeOf(err) == pactwire.TooMany:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if taken.Load() != 5 || refused.Load() != 7 {
		t.Errorf("%d taken, %d refused", taken.Load(), refused.Load())
	}
	if err := s.AddDevice(ctx, device("other", "bob", noon), 5); err != nil {
		t.Error("another's devices count too:", err)
	}
}

func testSightings(t *testing.T, s Store) {
	if err := s.AddDevice(ctx, device("d", "alice", noon), 5); err != nil {
		t.Fatal(err)
	}
	percent := func(n int) *int { return &n }
	for i, c := range []struct {
		at      time.Time
		battery *int
		seen    time.Time
		want    *int
	}{
		{noon, nil, noon, nil},
		{noon.Add(time.Minute), percent(80), noon.Add(time.Minute), percent(80)},
		{noon, percent(99), noon.Add(time.Minute), percent(80)}, // late, from another node
		{noon.Add(time.Hour), nil, noon.Add(time.Hour), percent(80)},
		{noon.Add(2 * time.Hour), percent(0), noon.Add(2 * time.Hour), percent(0)},
	} {
		seen := []pactwire.Sighting{{Device: "d", At: c.at, Battery: c.battery}, {Device: "gone", At: c.at}}
		if err := s.SawDevices(ctx, seen); err != nil {
			t.Fatal(err)
		}
		want := device("d", "alice", noon)
		want.LastSeen, want.Battery = timePtr(c.seen), c.want
		got, _, err := s.Device(ctx, "d")
		if err != nil {
			t.Fatal(err)
		}
		same(t, fmt.Sprint("after sighting ", i), want, got)
	}
	if _, ok, err := s.Device(ctx, "gone"); ok || err != nil {
		t.Errorf("a sighting made a device: %v", err)
	}
}

func testRemoveDevice(t *testing.T, s Store) {
	if err := s.AddDevice(ctx, device("d", "alice", noon), 1); err != nil {
		t.Fatal(err)
	}
	rev := pactwire.Revocation{ID: "r1", DeviceID: "d", By: "alice", At: pactwire.Time(noon), Until: pactwire.Time(noon.Add(time.Hour))}
	there, err := s.RemoveDevice(ctx, "d", rev)
	if !there || err != nil {
		t.Fatal(there, err)
	}
	rev.ID = "r2"
	if there, err := s.RemoveDevice(ctx, "d", rev); there || err != nil {
		t.Error("removed twice:", there, err)
	}
	s = s.Reopen(t)
	if _, ok, err := s.Device(ctx, "d"); ok || err != nil {
		t.Error(ok, err)
	}
	rev.ID = "r1"
	got, err := s.Revocations(ctx, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "revocations", []pactwire.Revocation{rev}, got)
	if err := s.AddDevice(ctx, device("e", "alice", noon), 1); err != nil {
		t.Error("a removed device still counts:", err)
	}
}

func testRevocations(t *testing.T, s Store) {
	later := noon.Add(time.Minute)
	all := []pactwire.Revocation{
		{ID: "r1", TokenID: "jti with spaces and ü", By: "ops", At: pactwire.Time(noon), Until: pactwire.Time(noon.Add(time.Hour))},
		{ID: "r2", UserID: "alice", Before: timePtr(noon.Add(-time.Hour)), By: "ops", At: pactwire.Time(later), Until: pactwire.Time(noon.Add(time.Hour))},
	}
	for _, r := range all {
		if err := s.AddRevocation(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	s = s.Reopen(t)
	for since, want := range map[time.Time][]pactwire.Revocation{{}: all, noon: all, noon.Add(time.Millisecond): all[1:], later.Add(time.Second): nil} {
		got, err := s.Revocations(ctx, since)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "since "+since.String(), want, got)
	}
}

func testForgetRevocations(t *testing.T, s Store) {
	add := func(id string, at, until time.Time) {
		r := pactwire.Revocation{ID: id, TokenID: id, By: "ops", At: pactwire.Time(at), Until: pactwire.Time(until)}
		if err := s.AddRevocation(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	add("short", noon, noon.Add(time.Minute))
	add("long", noon, noon.Add(time.Hour))
	add("new", noon.Add(time.Minute), noon.Add(time.Hour))
	got, err := s.Revocations(ctx, time.Time{})
	if err != nil || len(got) != 2 || got[0].ID != "long" || got[1].ID != "new" {
		t.Errorf("%+v %v", got, err)
	}
}
