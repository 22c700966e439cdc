/* What a second of a cluster costs: rented by contract and year, or owned. */
#ifndef HW_PRICE_H
#define HW_PRICE_H

#include "configs/reader/scenario.h"

/* US dollars for each second. Rent covers everything but, where it says so, energy. Machines of
 * one's own are written off on a straight line, (price - what is left) / useful life, with interest
 * on the mean of what is tied up, (price + what is left) / 2, and all of it spread over the share
 * of their life that somebody pays for. Only nodes keep a value. */
typedef struct PriceRates {
    double gpus;     /* of one GPU: rent, or its share of a node */
    double network;  /* of one node */
    double facility; /* of one node */
    double energy;   /* of one node under load; 0 where the rent includes it */
    double storage;  /* of the cluster */
    double staff;    /* of the cluster */
    double power_w;  /* of one node, as the datacentre draws it from the grid */
} PriceRates;

PriceRates price_rates(const Scenario *scenario);

/* Dollars for a joule from the grid; 0 where the rent includes energy. */
double price_energy_usd_per_j(const Scenario *scenario);

/* All of it but the energy bill for one hour of one of `gpus` GPUs. */
double price_gpu_hour_usd(const Scenario *scenario, double gpus);

/* The offer that counts: of the contract asked for, the nearest in time, the earlier of two as
 * near, the latest for year 0. NULL: the table has none of that kind. */
const RentOffer *price_offer(const PriceSpec *prices);

/* Between the cheapest (0), the median (0.5) and the dearest seller (1), on straight lines. */
double price_of_offer_usd(const RentOffer *offer, double quantile);

#endif
