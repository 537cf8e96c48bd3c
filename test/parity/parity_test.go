package parity_test

import (
	"testing"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// world is one server that many tests share, each with people of its own.
type world struct {
	*testkit.Server
	prefix string
}

// who is a person of this test.
func (w world) who(name string) pactwire.UserID { return pactwire.UserID(w.prefix + name) }

// grace is the server's: how long who has gone is taken to be there.
const grace = "300ms"

// shared are the failures that need no server to themselves. The first eleven are the ways in which the old system fails by its
// make, the rest what its people met with.
var shared = []struct {
	failure string
	test    func(*testing.T, world)
}{
	{"NoAnswerAndNoError", noAnswerAndNoError},
	{"NoReplayAndNoIDs", noReplayAndNoIDs},
	{"LostToADeadConnection", lostToADeadConnection},
	{"EventsAheadOfTheirEffects", eventsAheadOfTheirEffects},
	{"OneDeviceAPerson", oneDeviceAPerson},
	{"IdentityFromThePayload", identityFromThePayload},
	{"EverythingToEverybody", everythingToEverybody},
	{"DatesOfTheServersZone", datesOfTheServersZone},
	{"RemovedMemberKeepsReceiving", removedMemberKeepsReceiving},

	{"LoginSpoof", loginSpoof},
	{"ForeignPactSubscribe", foreignPactSubscribe},
	{"WhoLeftIsCutOffWithinASecond", whoLeftIsCutOff},
	{"OlderOfTwoDevicesDrops", olderOfTwoDevicesDrops},
	{"ReconnectMissesEvents", reconnectMissesEvents},
	{"GroupOfSix", groupOfSix},
	{"DirectMessageToADeadConnection", directMessageToADeadConnection},
	{"AcceptanceNeverReachesTheRequester", acceptanceReachesTheRequester},
	{"BrokenConnectionToldToOneSide", brokenConnectionToldToBoth},
	{"TokenRefreshNeedsAReconnect", tokenRefresh},
	{"EveningCheckinCountsForTomorrow", eveningCheckin},
	{"BackdatedCheckinInflatesAStreak", backdatedCheckin},
	{"CelebrationSentTwice", celebrationSentTwice},
	{"ForgedActivityType", forgedActivity},
}

func TestOldFailure(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"presence.grace": grace, "log.level": "warn"})
	for _, f := range shared {
		t.Run(f.failure, func(t *testing.T) {
			f.test(t, world{s, f.failure + "-"})
		})
	}
}
