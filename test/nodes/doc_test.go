// Package nodes_test runs several nodes on one PostgreSQL and one Redis, and checks that they are one service.
package nodes_test
