#include "reports/claim_lookup.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

const ClaimResult *claim_about(const AuditResult *audit, const char *scenario, const char *metric)
{
    char wanted[NAME_BYTES + METRIC_NAME_BYTES];
    snprintf(wanted, sizeof wanted, "%s.%s", scenario, metric);
    for (size_t i = 0; i < audit->file->claim_count; i++) {
        const char *quantity = audit->claims[i].claim->quantity;
        while (isspace((unsigned char)*quantity))
            quantity++;
        size_t length = strlen(quantity);
        while (length > 0 && isspace((unsigned char)quantity[length - 1]))
            length--;
        if (length == strlen(wanted) && strncmp(quantity, wanted, length) == 0)
            return &audit->claims[i];
    }
    return NULL;
}
