// Package quota counts what tenants and their API keys use, by day and by month
// of UTC, and refuses what would be more than they may.
//
// It must not know any protocol, how what was used is kept, or how models run.
package quota
