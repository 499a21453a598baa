package httpapi_test

import (
	"path/filepath"
	"testing"

	"onnxgate/internal/sqlstore"
	"onnxgate/internal/testkit"
)

// administrationTests are held against every database. Each begins with one of its
// own.
var administrationTests = map[string]func(*testing.T, *administration){
	"users are managed":                                         usersAreManaged,
	"tenants are managed":                                       tenantsAreManaged,
	"another tenant's things are not there":                     anotherTenantsThingsAreNotThere,
	"nobody gives or takes over what they do not hold":          nobodyGivesOrTakesOverWhatTheyDoNotHold,
	"the last administrator stays":                              theLastAdministratorStays,
	"one's own password is changed with the current one":        onesOwnPasswordIsChangedWithTheCurrentOne,
	"bodies are read strictly":                                  bodiesOfAdministrationAreReadStrictly,
	"lists have pages and filters":                              listsHavePagesAndFilters,
	"pages of other sites change nothing":                       pagesOfOtherSitesChangeNothing,
	"the contract is whole and holds":                           theContractOfAdministrationIsWholeAndHolds,
	"policies are shown and tested":                             policiesAreShownAndTested,
	"clients are managed, and their secret is shown once":       clientsAreManagedAndTheirSecretIsShownOnce,
	"the certificate and the scopes of a client are taken away": theCertificateAndTheScopesOfAClientAreTakenAway,
	"tokens are revoked":                                        tokensAreRevoked,
	"keys are managed, and their text is shown once":            keysAreManagedAndTheirTextIsShownOnce,
	"a narrowing of a key is taken away":                        aNarrowingOfAKeyIsTakenAway,
	"nobody makes or takes over a key that can do more":         nobodyMakesOrTakesOverAKeyThatCanDoMore,
	"what a key may not be is pointed at":                       whatAKeyMayNotBeIsPointedAt,
	"usage of tenants is for their administrators":              usageOfTenantsIsForTheirAdministrators,
	"usage comes as a table":                                    usageComesAsATable,
}

func TestAdministration(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		testAdministration(t, func() sqlstore.Config { return sqlstore.Config{Path: filepath.Join(t.TempDir(), "onnxgate.db")} })
	})
	t.Run("postgres", func(t *testing.T) {
		server := testkit.StartPostgres(t)
		testAdministration(t, func() sqlstore.Config { return sqlstore.Config{URL: server.Database(t)} })
	})
}

func testAdministration(t *testing.T, fresh func() sqlstore.Config) {
	t.Helper()
	for name, test := range administrationTests {
		t.Run(name, func(t *testing.T) { test(t, newAdministration(t, fresh())) })
	}
}
