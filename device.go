package pactwire

import "time"

// Device is a thing that checks in for its owner: for one pact and its habit, and for nothing else. What it is bound to
// never changes; a device for another pact is another device.
type Device struct {
	ID          DeviceID   `json:"id"`
	Name        string     `json:"name"`
	Kind        DeviceKind `json:"kind"`
	PactID      PactID     `json:"pactId"`
	HabitGoalID GoalID     `json:"habitGoalId"`
	LastSeen    *Time      `json:"lastSeen"` // last sign of life; null if never
	Battery     *int       `json:"battery"`  // percent, as the device last said; null if it never did
	CreatedAt   Time       `json:"createdAt"`

	Owner      UserID `json:"-"`
	SecretHash []byte `json:"-"` // SHA-256
}

// DeviceInput asks for a new device.
type DeviceInput struct {
	Name        string     `json:"name"`
	Kind        DeviceKind `json:"kind"`
	PactID      PactID     `json:"pactId"`
	HabitGoalID GoalID     `json:"habitGoalId"` // "" = the pact's
}

// DeviceSecret is what a device connects with. It is shown once, when the device is made.
type DeviceSecret struct {
	ID       DeviceID `json:"id"`
	Username string   `json:"username"`
	Secret   string   `json:"secret"`
}

// DeviceUserPrefix is how the MQTT user name of a device begins; its id follows.
const DeviceUserPrefix = "device:"

// MaxDeviceName is the longest name of a device in code points.
const MaxDeviceName = 60

// Sighting is a sign of life of a device.
type Sighting struct {
	Device  DeviceID
	At      time.Time
	Battery *int // nil = nothing was said of it
}
