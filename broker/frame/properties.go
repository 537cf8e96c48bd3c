package frame

// The MQTT 5 property identifiers that clients may send.
const (
	propPayloadFormat   = 0x01
	propMessageExpiry   = 0x02
	propContentType     = 0x03
	propResponseTopic   = 0x08
	propCorrelation     = 0x09
	propSubscriptionID  = 0x0B
	propSessionExpiry   = 0x11
	propAuthMethod      = 0x15
	propAuthData        = 0x16
	propRequestProblem  = 0x17
	propWillDelay       = 0x18
	propRequestResponse = 0x19
	propReasonString    = 0x1F
	propReceiveMaximum  = 0x21
	propAliasMaximum    = 0x22
	propTopicAlias      = 0x23
	propUser            = 0x26
	propMaximumPacket   = 0x27
)

type valueKind uint8

const (
	kindNone valueKind = iota
	kindByte
	kindU16
	kindU32
	kindVarint
	kindText
	kindBinary
	kindPair
)

var propertyKinds = [64]valueKind{
	propPayloadFormat: kindByte, propMessageExpiry: kindU32, propContentType: kindText, propResponseTopic: kindText,
	propCorrelation: kindBinary, propSubscriptionID: kindVarint, propSessionExpiry: kindU32, propAuthMethod: kindText,
	propAuthData: kindBinary, propRequestProblem: kindByte, propWillDelay: kindU32, propRequestResponse: kindByte,
	propReasonString: kindText, propReceiveMaximum: kindU16, propAliasMaximum: kindU16, propTopicAlias: kindU16,
	propUser: kindPair, propMaximumPacket: kindU32,
}

// propertySet is a set of property identifiers, all of which are below 64.
type propertySet uint64

func setOf(ids ...uint) (s propertySet) {
	for _, id := range ids {
		s |= 1 << id
	}
	return s
}

func (s propertySet) has(id uint) bool { return s>>id&1 == 1 }

// What each packet of a client may carry.
var (
	connectProps = setOf(propSessionExpiry, propReceiveMaximum, propMaximumPacket, propAliasMaximum, propRequestResponse,
		propRequestProblem, propUser, propAuthMethod, propAuthData)
	willProps = setOf(propWillDelay, propPayloadFormat, propMessageExpiry, propContentType, propResponseTopic,
		propCorrelation, propUser)
	publishProps = setOf(propPayloadFormat, propMessageExpiry, propTopicAlias, propResponseTopic, propCorrelation,
		propUser, propSubscriptionID, propContentType)
	ackProps         = setOf(propReasonString, propUser)
	subscribeProps   = setOf(propSubscriptionID, propUser)
	unsubscribeProps = setOf(propUser)
	disconnectProps  = setOf(propSessionExpiry, propReasonString, propUser)
	authProps        = setOf(propAuthMethod, propAuthData, propReasonString, propUser)
)

// properties reads a property list. method is the authentication method, if there is one.
func (c *cursor) properties(allowed propertySet, lim *Limits) (seen propertySet, method []byte, err *Violation) {
	n, err := c.varint()
	if err != nil {
		return 0, nil, err
	}
	if n == 0 {
		return 0, nil, nil
	}
	if len(c.b) < n {
		return 0, nil, errShort
	}
	list := cursor{c.b[:n]}
	c.b = c.b[n:]
	users := 0
	for len(list.b) > 0 {
		id := uint(list.b[0])
		list.b = list.b[1:]
		if id >= uint(len(propertyKinds)) || !allowed.has(id) {
			return 0, nil, malformed("property not allowed in this packet")
		}
		if id == propUser {
			if users++; users > lim.UserProperties {
				return 0, nil, violation(QuotaExceeded, "too many user properties")
			}
		} else if seen.has(id) {
			return 0, nil, protocol("property given twice")
		}
		seen |= 1 << id
		v, err := list.property(id)
		if err != nil {
			return 0, nil, err
		}
		if id == propAuthMethod {
			method = v
		}
	}
	return seen, method, nil
}

// property reads the value of one property and checks it as far as its identifier alone tells what is right.
func (c *cursor) property(id uint) (text []byte, err *Violation) {
	switch propertyKinds[id] {
	case kindByte:
		v, err := c.u8()
		if err != nil {
			return nil, err
		}
		if v > 1 {
			return nil, protocol("flag property is neither 0 nor 1")
		}
	case kindU16:
		v, err := c.u16()
		if err != nil {
			return nil, err
		}
		switch {
		case id == propTopicAlias:
			return nil, violation(TopicAliasInvalid, "topic alias")
		case id == propReceiveMaximum && v == 0:
			return nil, protocol("receive maximum 0")
		}
	case kindU32:
		v, err := c.u32()
		if err != nil {
			return nil, err
		}
		if id == propMaximumPacket && v == 0 {
			return nil, protocol("maximum packet size 0")
		}
	case kindVarint:
		v, err := c.varint()
		if err != nil {
			return nil, err
		}
		if v == 0 {
			return nil, protocol("subscription identifier 0")
		}
	case kindText:
		s, wild, err := c.text()
		if err != nil {
			return nil, err
		}
		if id == propResponseTopic && wild {
			return nil, protocol("wildcard in a response topic")
		}
		return s, nil
	case kindBinary:
		return c.binary()
	case kindPair:
		if _, _, err := c.text(); err != nil {
			return nil, err
		}
		_, _, err := c.text()
		return nil, err
	}
	return nil, nil
}
