/* The SQLite store: every run with its provenance, one transaction a run (WAL). */
#ifndef REPORTS_STORE_H
#define REPORTS_STORE_H

#include "reports/provenance.h"
#include "sim/engine/metrics.h"

typedef struct Store Store;

Status store_open(const char *path, Store **store,
                  Error *error); /* creates the tables; refuses another schema version */
void store_close(Store *store);

/* Saves one run: provenance, canonical scenario text, summaries of all metrics. `run_id` gets 12
 * hex digits: a hash of (verb, scenario hash, canonical text, seed, reps, version), so that the
 * same run stored twice is one row. */
Status store_save(Store *store, const Provenance *provenance, const char *canonical_scenario,
                  const MetricSet *metrics, char run_id[13], Error *error);

/* Calls `row` for each stored run, newest first. */
typedef void (*StoreRow)(void *context, const char *run_id, const char *verb, const char *scenario,
                         const char *sha256, unsigned long long seed, size_t reps,
                         const char *created_utc);
Status store_list(Store *store, StoreRow row, void *context, Error *error);

#endif
