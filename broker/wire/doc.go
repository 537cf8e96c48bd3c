// Package wire writes the MQTT packets that Pactwire sends by itself, as bytes, for versions 3.1.1 and 5. The library
// reads and writes the rest.
package wire
