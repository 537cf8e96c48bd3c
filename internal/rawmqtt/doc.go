// Package rawmqtt is a small MQTT client (3.1.1 and 5) for load generators and tests: it costs little, does exactly what
// it is told, and lets one see every packet. It does not reconnect, resend or queue anything by itself.
//
// A Conn has one reading goroutine, the one that calls Conn.Run. PUBLISH packets of QoS 1 are acknowledged by
// themselves, unless Options.HoldAcks is set; the acknowledgements of one read are written together.
package rawmqtt
