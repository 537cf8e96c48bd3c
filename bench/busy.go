package bench

// Busiest are the members of the pact that has most of them, for Pairs on one pact: whoever is in it writes to one log.
func Busiest(members []Member) []Member {
	var most []Member
	for _, p := range pacts(members) {
		if len(p) > len(most) {
			most = p
		}
	}
	return most
}
