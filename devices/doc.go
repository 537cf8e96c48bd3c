// Package devices keeps the things that check in for people: buttons, scales, watches without a token. A person makes one
// for a pact, is shown its secret once, and may take it back; the thing then connects as device:{id} with the secret as
// its password.
//
// Of a secret only its SHA-256 is stored. That is enough, unlike for passwords that people choose: a secret is 32 random
// bytes, so there is nothing to guess that a slow hash would make slower, and a storm of reconnecting devices costs next
// to nothing.
//
// Signs of life are collected and written once a second, many in one transaction. At most as many wait as there are
// devices, each once. A crash loses about a second of them, and nothing else.
package devices
