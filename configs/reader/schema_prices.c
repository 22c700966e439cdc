/* Keys of what a run is paid with. The words of a contract are in the order of the enum. */
#include "configs/reader/schema.h"

#include <assert.h>

static_assert(sizeof(PriceBasis) == sizeof(int) && sizeof(Contract) == sizeof(int),
              "enums are read as int");

static const char *const BASIS_WORDS[] = {"hourly", "table", "owned", NULL};
static const char *const CONTRACT_WORDS[] = {"on_demand", "reserved_1y", "reserved_3y", "spot",
                                             NULL};

#define FIRST_YEAR    2000
#define LAST_YEAR     2100
#define MAX_RENT_USD  1e6
#define MAX_PRICE_USD 1e12
#define YEAR_S        3.1536e7

static const Field OFFER_FIELDS[] = {
    NUMBER_FIELD("year", RentOffer, year, DIMENSION_NUMBER, FIRST_YEAR, LAST_YEAR, NULL,
                 FIELD_WHOLE, "in which these prices were asked"),
    WORD_FIELD("contract", RentOffer, contract, CONTRACT_WORDS, NULL, "kind of contract"),
    NUMBER_FIELD("low", RentOffer, low_usd, DIMENSION_USD_PER_HOUR, 0, MAX_RENT_USD, NULL, 0,
                 "of the cheapest seller"),
    NUMBER_FIELD("median", RentOffer, median_usd, DIMENSION_USD_PER_HOUR, 0, MAX_RENT_USD, NULL, 0,
                 "over sellers"),
    NUMBER_FIELD("high", RentOffer, high_usd, DIMENSION_USD_PER_HOUR, 0, MAX_RENT_USD, NULL, 0,
                 "of the dearest seller"),
    NUMBER_FIELD("sellers", RentOffer, sellers, DIMENSION_COUNT, 1, 1e6, "1", FIELD_WHOLE,
                 "that the three prices are taken from"),
};
static const Schema OFFER_SCHEMA = {.name = "offer", GROUP_FIELDS(OFFER_FIELDS)};

static const Field RENT_FIELDS[] = {
    TEXT_FIELD("name", RentTable, name, "custom", FIELD_LABEL, "label in reports"),
    LIST_FIELD("offers", FIELD_LIST, RentTable, offers, offer_count, &OFFER_SCHEMA, 0,
               "a list of {year, contract, low, median, high, sellers}"),
};
const Schema RENT_SCHEMA = {.name = "rent", GROUP_FIELDS(RENT_FIELDS)};

static const Field OWN_FIELDS[] = {
    TEXT_FIELD("name", OwnSpec, name, "custom", FIELD_LABEL, "label in reports"),
    NUMBER_FIELD("node", OwnSpec, node_usd, DIMENSION_USD, 0, MAX_PRICE_USD, NULL, 0,
                 "price of one node"),
    NUMBER_FIELD("network_share", OwnSpec, network_share, DIMENSION_FRACTION, 0, 0.99, NULL, 0,
                 "of the price of nodes and network together"),
    NUMBER_FIELD("facility", OwnSpec, facility_usd, DIMENSION_USD, 0, MAX_PRICE_USD, "0", 0,
                 "power and cooling up to one node"),
    NUMBER_FIELD("storage", OwnSpec, storage_bytes, DIMENSION_BYTES, 0, 1e21, "0", 0,
                 "of the cluster"),
    NUMBER_FIELD("storage_price", OwnSpec, storage_usd_per_byte, DIMENSION_USD_PER_BYTE, 0, 1, "0",
                 0, "of storage as bought"),
    NUMBER_FIELD("useful_life", OwnSpec, useful_s, DIMENSION_SECONDS, 86400, 100 * YEAR_S, NULL, 0,
                 "until the machines are written off"),
    NUMBER_FIELD("residual", OwnSpec, residual, DIMENSION_FRACTION, 0, 1, "0", 0,
                 "share of the nodes' price that is left then"),
    NUMBER_FIELD("capital", OwnSpec, capital_per_s, DIMENSION_PER_SECOND, 0, 1, "0", 0,
                 "interest on the mean book value, a share in time: 0.08/year"),
    NUMBER_FIELD("utilisation", OwnSpec, utilisation, DIMENSION_FRACTION, 0.01, 1, "100%", 0,
                 "share of the machines' life that somebody pays for"),
    NUMBER_FIELD("staff", OwnSpec, staff_usd_per_hour, DIMENSION_USD_PER_HOUR, 0, MAX_PRICE_USD,
                 "0", 0, "who run the whole cluster"),
};
const Schema OWN_SCHEMA = {.name = "own", GROUP_FIELDS(OWN_FIELDS)};

static const Field PRICE_FIELDS[] = {
    TEXT_FIELD("name", PriceSpec, name, "custom", FIELD_LABEL, "label in reports"),
    WORD_FIELD("basis", PriceSpec, basis, BASIS_WORDS, "hourly",
               "hourly: gpu_hour; table: rent by contract and year; owned: machines of one's own"),
    NUMBER_FIELD("gpu_hour", PriceSpec, gpu_hour_usd, DIMENSION_USD_PER_HOUR, 0, MAX_RENT_USD, "0",
                 0, "rent of one GPU"),
    WORD_FIELD("contract", PriceSpec, contract, CONTRACT_WORDS, "on_demand", "of basis: table"),
    NUMBER_FIELD("year", PriceSpec, year, DIMENSION_NUMBER, 0, LAST_YEAR, "0", FIELD_WHOLE,
                 "of the contract; the offer nearest in time counts; 0: the latest"),
    NUMBER_FIELD("rent_quantile", PriceSpec, rent_quantile, DIMENSION_FRACTION, 0, 1, "0.5", 0,
                 "among sellers: 0 the cheapest, 0.5 the median, 1 the dearest"),
    GROUP_FIELD("rent", PriceSpec, rent, &RENT_SCHEMA, "rent", FIELD_MAY_MISS,
                "prices by year and contract: a name in configs/hw or its keys"),
    GROUP_FIELD("own", PriceSpec, own, &OWN_SCHEMA, "own", FIELD_MAY_MISS,
                "what owning costs: a name in configs/hw or its keys"),
    NUMBER_FIELD("energy", PriceSpec, energy_usd_per_j, DIMENSION_USD_PER_J, 0, 1, NULL, 0,
                 "price of energy"),
    WORD_FIELD("energy_included", PriceSpec, energy_included, BOOL_WORDS, "false",
               "the rent includes energy"),
    NUMBER_FIELD("pue", PriceSpec, pue, DIMENSION_NUMBER, 1, 10, NULL, 0,
                 "power of the datacentre over power of the machines"),
    NUMBER_FIELD("wanted_per_1k", PriceSpec, wanted_per_1k_usd, DIMENSION_USD, 0, 1e6, "$0", 0,
                 "a price of 1,000 tokens to be met, prompts and answers together; 0: none"),
    NUMBER_FIELD("list_per_1k_input", PriceSpec, list_per_1k_input_usd, DIMENSION_USD, 0, 1e6, "$0",
                 0, "what readers pay for 1,000 tokens of a prompt; 0: no list price"),
    NUMBER_FIELD("list_per_1k_output", PriceSpec, list_per_1k_output_usd, DIMENSION_USD, 0, 1e6,
                 "$0", 0, "likewise of an answer"),
    NUMBER_FIELD("co2", PriceSpec, co2_kg_per_j, DIMENSION_KG_PER_J, 0, 1, NULL, 0, "of the grid"),
};
const Schema PRICE_SCHEMA = {.name = "prices", GROUP_FIELDS(PRICE_FIELDS)};
