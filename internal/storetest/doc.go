// Package storetest is the one suite that every store passes, embedded or not. A store's own tests call Run with a
// function that opens an empty one; what is special to it (a full disk, a lost connection) it tests itself.
package storetest
