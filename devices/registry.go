package devices

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/pactwire/pactwire"
)

// Store keeps devices. Its errors are Unavailable unless it says otherwise; what it has written is durable when it returns.
type Store interface {
	// AddDevice stores a device, unless its owner has limit of them: TooMany.
	AddDevice(ctx context.Context, d pactwire.Device, limit int) error
	Device(ctx context.Context, id pactwire.DeviceID) (pactwire.Device, bool, error)
	// DevicesOf are a person's devices, oldest first.
	DevicesOf(ctx context.Context, u pactwire.UserID) ([]pactwire.Device, error)
	// SawDevices notes signs of life; one that is older than what is known changes nothing.
	SawDevices(ctx context.Context, seen []pactwire.Sighting) error
}

// Pacts tells what a device may be bound to: the pact, when its owner may check in there now, else NotFound or Conflict.
type Pacts interface {
	Bindable(ctx context.Context, owner pactwire.UserID, pact pactwire.PactID) (pactwire.Pact, error)
}

// Revoker makes a device's credentials worthless, everywhere and at once, and takes the device away. NotFound when there
// is none.
type Revoker interface {
	RevokeDevice(ctx context.Context, by pactwire.UserID, d pactwire.DeviceID) error
}

// Limit is how many devices a person may have.
const Limit = 32

// secretBytes is the length of a secret before it is written in base64.
const secretBytes = 32

// Registry knows the devices. It may be used by many goroutines.
type Registry struct {
	store   Store
	pacts   Pacts
	revoker Revoker
	seen    *sightings
}

// New makes a registry. Start it before devices connect; Stop writes what is still to be written.
func New(store Store, pacts Pacts, revoker Revoker, log *slog.Logger) *Registry {
	return &Registry{store: store, pacts: pacts, revoker: revoker, seen: newSightings(store, log)}
}

// Start begins to write signs of life down.
func (r *Registry) Start() { r.seen.start() }

// Stop writes what is still to be written.
func (r *Registry) Stop(ctx context.Context) error { return r.seen.stop(ctx) }

// AddDevice makes a device for one of the owner's pacts. The secret is in the answer and nowhere else.
func (r *Registry) AddDevice(ctx context.Context, owner pactwire.Identity, in pactwire.DeviceInput) (pactwire.DeviceSecret, error) {
	if err := check(&in); err != nil {
		return pactwire.DeviceSecret{}, err
	}
	pact, err := r.pacts.Bindable(ctx, owner.UserID, in.PactID)
	if err != nil {
		return pactwire.DeviceSecret{}, err
	}
	if in.HabitGoalID != "" && in.HabitGoalID != pact.HabitGoalID {
		return pactwire.DeviceSecret{}, pactwire.FieldErrorf("habitGoalId", "this pact is about another habit: leave habitGoalId out or send the pact's")
	}
	random := make([]byte, secretBytes)
	_, _ = rand.Read(random) // never fails
	secret := base64.RawURLEncoding.EncodeToString(random)
	d := pactwire.Device{ID: newID(), Name: in.Name, Kind: in.Kind, PactID: pact.ID, HabitGoalID: pact.HabitGoalID,
		Owner: owner.UserID, SecretHash: hash(secret), CreatedAt: pactwire.Time(time.Now())}
	if err := r.store.AddDevice(ctx, d, Limit); err != nil {
		return pactwire.DeviceSecret{}, err
	}
	return pactwire.DeviceSecret{ID: d.ID, Username: pactwire.DeviceUserPrefix + string(d.ID), Secret: secret}, nil
}

// check refuses what no device can be.
func check(in *pactwire.DeviceInput) error {
	in.Name = strings.TrimSpace(in.Name)
	switch {
	case in.Name == "":
		return pactwire.FieldErrorf("name", "a device needs a name, such as kitchen button")
	case !utf8.ValidString(in.Name) || strings.ContainsFunc(in.Name, unicode.IsControl):
		return pactwire.FieldErrorf("name", "the name must be one line of text")
	case utf8.RuneCountInString(in.Name) > pactwire.MaxDeviceName:
		return pactwire.FieldErrorf("name", "the name is longer than %d characters", pactwire.MaxDeviceName)
	case !pactwire.ValidID(in.PactID):
		return pactwire.FieldErrorf("pactId", "pactId is needed: the pact that the device checks in for")
	}
	switch in.Kind {
	case pactwire.KindPhone, pactwire.KindWatch, pactwire.KindWeb, pactwire.KindButton, pactwire.KindScale:
		return nil
	}
	return pactwire.FieldErrorf("kind", "kind is button, scale, watch, phone or web")
}

// newID is a UUIDv7 in base64url: 22 characters, so that the topic of a device is short.
func newID() pactwire.DeviceID {
	id := uuid.Must(uuid.NewV7())
	return pactwire.DeviceID(base64.RawURLEncoding.EncodeToString(id[:]))
}

func hash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// Devices are a person's devices, oldest first. What is connected here was seen just now.
func (r *Registry) Devices(ctx context.Context, owner pactwire.Identity) ([]pactwire.Device, error) {
	list, err := r.store.DevicesOf(ctx, owner.UserID)
	for i := range list {
		r.seen.complete(&list[i])
	}
	return list, err
}

// RemoveDevice takes one of a person's devices back. Of somebody else's device it says what it says of one that does not exist.
func (r *Registry) RemoveDevice(ctx context.Context, owner pactwire.Identity, id pactwire.DeviceID) error {
	d, ok, err := r.store.Device(ctx, id)
	if err != nil {
		return err
	}
	if !ok || d.Owner != owner.UserID {
		return noDevice()
	}
	return r.revoker.RevokeDevice(ctx, owner.UserID, id)
}

func noDevice() *pactwire.Error { return pactwire.Errorf(pactwire.NotFound, "you have no such device") }

// Verify returns whom a device speaks for: its owner, in the one pact that it is bound to. A wrong secret and a device that
// does not exist are refused with the same words.
func (r *Registry) Verify(ctx context.Context, id pactwire.DeviceID, secret string) (pactwire.Identity, error) {
	d, ok, err := r.store.Device(ctx, id)
	if err != nil {
		return pactwire.Identity{}, err
	}
	if same := subtle.ConstantTimeCompare(hash(secret), d.SecretHash) == 1; !ok || !same {
		return pactwire.Identity{}, pactwire.Errorf(pactwire.Denied, "there is no such device, or this is not its secret")
	}
	return pactwire.Identity{UserID: d.Owner, Device: d.ID, Pact: d.PactID}, nil
}

// Saw notes a sign of life. It does not block.
func (r *Registry) Saw(s pactwire.Sighting) { r.seen.saw(s) }

// Arrived and Left say that a device has one connection more or less on this node. They do not block.
func (r *Registry) Arrived(d pactwire.DeviceID) { r.seen.count(d, 1) }

// Left is the counterpart of Arrived.
func (r *Registry) Left(d pactwire.DeviceID) { r.seen.count(d, -1) }
