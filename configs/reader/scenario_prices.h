/* The prices of a Scenario: rent by contract, or owning. */
#ifndef CONFIGS_READER_SCENARIO_PRICES_H
#define CONFIGS_READER_SCENARIO_PRICES_H

#include "configs/reader/scenario_common.h"

#include <stddef.h>

enum { MAX_RENT_OFFERS = 32 };

/* What hours of a GPU are paid by. */
typedef enum PriceBasis {
    PRICE_HOURLY, /* gpu_hour */
    PRICE_TABLE,  /* what `rent` says of a year and a kind of contract */
    PRICE_OWNED   /* machines of one's own: `own` */
} PriceBasis;
typedef enum Contract {
    CONTRACT_ON_DEMAND,
    CONTRACT_RESERVED_1Y,
    CONTRACT_RESERVED_3Y,
    CONTRACT_SPOT
} Contract;

/* What sellers asked for one hour of a GPU in one year under one kind of contract. */
typedef struct RentOffer {
    double year;
    Contract contract;
    double low_usd, median_usd, high_usd;
    double sellers; /* that the three are taken from */
} RentOffer;

typedef struct RentTable {
    char name[NAME_BYTES];
    size_t offer_count;
    RentOffer offers[MAX_RENT_OFFERS];
} RentTable;

/* What owning costs. Straight-line: the price less what is left, over the years of use. */
typedef struct OwnSpec {
    char name[NAME_BYTES];
    double node_usd;             /* a node as bought */
    double network_share;        /* of the price of nodes and network together */
    double facility_usd;         /* of each node: power and cooling up to it */
    double storage_bytes;        /* of the cluster */
    double storage_usd_per_byte; /* as bought */
    double useful_s;             /* until the machines are written off */
    double residual;             /* share of the price of the nodes left then */
    double capital_per_s;        /* interest on what is tied up on average */
    double utilisation;          /* share of its life for which somebody pays */
    double staff_usd_per_hour;   /* of the whole cluster */
} OwnSpec;

typedef struct PriceSpec {
    char name[NAME_BYTES];
    PriceBasis basis;
    double gpu_hour_usd;
    Contract contract;
    double year;          /* of the contract */
    double rent_quantile; /* 0 the cheapest seller, 0.5 the median, 1 the dearest */
    RentTable rent;
    OwnSpec own;
    double energy_usd_per_j;
    int energy_included; /* 1: the rent includes power */
    double pue;
    double co2_kg_per_j;
    double wanted_per_1k_usd; /* a price to be met, of prompts and answers; 0: none */
    double list_per_1k_input_usd, list_per_1k_output_usd; /* what readers pay; 0: no list price */
} PriceSpec;

#endif
