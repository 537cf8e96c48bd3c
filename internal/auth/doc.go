// Package auth verifies and signs the tokens (JWT) that say who somebody is.
//
// A Verifier believes either one shared secret (HS256) or the key set of an issuer (RS, PS, ES, EdDSA by JWKS). Its
// errors are of two kinds only: Denied, with a sentence for the bearer, when the token is not to be believed; and
// Unavailable when that cannot be known now because the issuer does not answer. It never turns the second into the
// first, so that a phone does not sign its owner out because a key server is down.
package auth
