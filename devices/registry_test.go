package devices_test

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/devices"
	"github.com/pactwire/pactwire/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pacts knows one pact, of which alice is a member.
type pacts struct{}

func (pacts) Bindable(_ context.Context, u pactwire.UserID, p pactwire.PactID) (pactwire.Pact, error) {
	if u != "alice" || p != "p1" {
		return pactwire.Pact{}, pactwire.Errorf(pactwire.NotFound, "there is no such pact")
	}
	return pactwire.Pact{ID: "p1", HabitGoalID: "g1"}, nil
}

// revoker remembers what it was asked to revoke.
type revoker struct{ revoked []pactwire.DeviceID }

func (r *revoker) RevokeDevice(_ context.Context, _ pactwire.UserID, d pactwire.DeviceID) error {
	r.revoked = append(r.revoked, d)
	return nil
}

var alice = pactwire.Identity{UserID: "alice", UserName: "Alice"}

func open(t *testing.T) (*devices.Registry, *sqlite.DB, *revoker) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "d.db")}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	rev := &revoker{}
	return devices.New(db, pacts{}, rev, slog.New(slog.DiscardHandler)), db, rev
}

func button() pactwire.DeviceInput {
	return pactwire.DeviceInput{Name: " kitchen ", Kind: pactwire.KindButton, PactID: "p1"}
}

func TestADeviceSpeaksForItsOwnerInOnePact(t *testing.T) {
	r, db, _ := open(t)
	made, err := r.AddDevice(t.Context(), alice, button())
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := base64.RawURLEncoding.DecodeString(made.Secret); err != nil || len(raw) != 32 {
		t.Errorf("the secret has %d bytes: %v", len(raw), err)
	}
	if made.Username != "device:"+string(made.ID) || len(made.ID) != 22 || !pactwire.ValidID(made.ID) {
		t.Errorf("%+v", made)
	}
	id, err := r.Verify(t.Context(), made.ID, made.Secret)
	if want := (pactwire.Identity{UserID: "alice", Device: made.ID, Pact: "p1"}); err != nil || id != want {
		t.Errorf("%+v %v", id, err)
	}
	d, _, err := db.Device(t.Context(), made.ID)
	if err != nil || d.Name != "kitchen" || d.HabitGoalID != "g1" || strings.Contains(string(d.SecretHash), made.Secret) || len(d.SecretHash) != 32 {
		t.Errorf("%+v %v", d, err)
	}
	second, err := r.AddDevice(t.Context(), alice, button())
	if err != nil || second.ID == made.ID || second.Secret == made.Secret {
		t.Errorf("%+v %v", second, err)
	}
}

// A wrong secret and a device that is not there are told apart by nothing that is said.
func TestVerifyRefusesWithTheSameWords(t *testing.T) {
	r, _, _ := open(t)
	made, err := r.AddDevice(t.Context(), alice, button())
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, c := range []struct {
		id     pactwire.DeviceID
		secret string
	}{{made.ID, made.Secret[1:]}, {made.ID, ""}, {made.ID, made.Secret + "="}, {"", made.Secret}, {"AaIUZXg-dGqyPBP5dBd8DA", made.Secret}} {
		id, err := r.Verify(t.Context(), c.id, c.secret)
		if pactwire.CodeOf(err) != pactwire.Denied || id != (pactwire.Identity{}) {
			t.Fatalf("%q %q: %+v %v", c.id, c.secret, id, err)
		}
		words = append(words, err.Error())
	}
	if slices.Sort(words); words[0] != words[len(words)-1] {
		t.Errorf("%q", words)
	}
}

func TestWhatNoDeviceCanBe(t *testing.T) {
	r, _, _ := open(t)
	for name, c := range map[string]struct {
		change func(*pactwire.DeviceInput)
		code   pactwire.Code
		field  string
	}{
		"no name":              {func(in *pactwire.DeviceInput) { in.Name = " " }, pactwire.Invalid, "name"},
		"two lines":            {func(in *pactwire.DeviceInput) { in.Name = "a\nb" }, pactwire.Invalid, "name"},
		"a long name":          {func(in *pactwire.DeviceInput) { in.Name = strings.Repeat("é", 61) }, pactwire.Invalid, "name"},
		"no kind":              {func(in *pactwire.DeviceInput) { in.Kind = "" }, pactwire.Invalid, "kind"},
		"a strange kind":       {func(in *pactwire.DeviceInput) { in.Kind = "fridge" }, pactwire.Invalid, "kind"},
		"no pact":              {func(in *pactwire.DeviceInput) { in.PactID = "" }, pactwire.Invalid, "pactId"},
		"another's pact":       {func(in *pactwire.DeviceInput) { in.PactID = "p2" }, pactwire.NotFound, ""},
		"another pact's habit": {func(in *pactwire.DeviceInput) { in.HabitGoalID = "g2" }, pactwire.Invalid, "habitGoalId"},
	} {
		in := button()
		c.change(&in)
		_, err := r.AddDevice(t.Context(), alice, in)
		if e := pactwire.AsError(err); err == nil || e.Code != c.code || e.Field != c.field {
			t.Errorf("%s: %v", name, err)
		}
	}
	in := button()
	in.HabitGoalID, in.Name = "g1", strings.Repeat("é", 60)
	if _, err := r.AddDevice(t.Context(), alice, in); err != nil {
		t.Error(err)
	}
	for range devices.Limit - 1 {
		if _, err := r.AddDevice(t.Context(), alice, button()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.AddDevice(t.Context(), alice, button()); pactwire.CodeOf(err) != pactwire.TooMany {
		t.Errorf("one too many: %v", err)
	}
}

func TestOnlyTheOwnerRemoves(t *testing.T) {
	r, _, rev := open(t)
	made, err := r.AddDevice(t.Context(), alice, button())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who pactwire.UserID
		id  pactwire.DeviceID
	}{{"bob", made.ID}, {"alice", "unknown"}} {
		if err := r.RemoveDevice(t.Context(), pactwire.Identity{UserID: c.who}, c.id); pactwire.CodeOf(err) != pactwire.NotFound || len(rev.revoked) > 0 {
			t.Errorf("%s %s: %v %v", c.who, c.id, err, rev.revoked)
		}
	}
	if err := r.RemoveDevice(t.Context(), alice, made.ID); err != nil || !slices.Equal(rev.revoked, []pactwire.DeviceID{made.ID}) {
		t.Error(err, rev.revoked)
	}
}

// memory is a store of sightings alone, that can fail.
type memory struct {
	devices.Store
	mu    sync.Mutex
	fail  bool
	saves [][]pactwire.Sighting
}

func (m *memory) SawDevices(_ context.Context, seen []pactwire.Sighting) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail {
		return errors.New("the disk is full")
	}
	m.saves = append(m.saves, seen)
	return nil
}

func (m *memory) DevicesOf(context.Context, pactwire.UserID) ([]pactwire.Device, error) {
	return []pactwire.Device{{ID: "d"}}, nil
}

func (m *memory) take() (saves [][]pactwire.Sighting) {
	m.mu.Lock()
	defer m.mu.Unlock()
	saves, m.saves = m.saves, nil
	return saves
}

func (m *memory) setFail(yes bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = yes
}

// However often a device speaks, it costs one row a second, and nothing of its battery is lost, not even by a full disk.
func TestSignsOfLifeAreWrittenOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		r := devices.New(m, pacts{}, &revoker{}, slog.New(slog.DiscardHandler))
		r.Start()
		percent := 70
		m.setFail(true)
		r.Arrived("d")
		r.Saw(pactwire.Sighting{Device: "d", At: time.Now(), Battery: &percent})
		<-time.After(1500 * time.Millisecond)
		for range 1000 {
			r.Saw(pactwire.Sighting{Device: "d", At: time.Now()})
		}
		last := time.Now()
		list, err := r.Devices(t.Context(), alice)
		if err != nil || list[0].Battery == nil || *list[0].Battery != 70 || !list[0].LastSeen.Std().Equal(last) {
			t.Errorf("what waits is not shown: %+v %v", list, err)
		}
		m.setFail(false)
		<-time.After(time.Second)
		synctest.Wait()
		saves := m.take()
		if len(saves) != 1 || len(saves[0]) != 1 || !saves[0][0].At.Equal(last) || saves[0][0].Battery == nil || *saves[0][0].Battery != 70 {
			t.Errorf("%+v", saves)
		}
		<-time.After(4 * time.Minute)
		if saves := m.take(); len(saves) != 0 {
			t.Errorf("written without a sign of life: %+v", saves)
		}
		<-time.After(2 * time.Minute) // it is connected still
		if saves := m.take(); len(saves) != 1 {
			t.Errorf("a connected device was written %d times", len(saves))
		}
		r.Left("d")
		gone := time.Now()
		if err := r.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if saves := m.take(); len(saves) != 1 || !saves[0][0].At.Equal(gone) {
			t.Errorf("at the end %+v", saves)
		}
	})
}
