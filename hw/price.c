#include "hw/price.h"

#include <math.h>
#include <stddef.h>

static const double hour_s = 3600;

const RentOffer *price_offer(const PriceSpec *prices)
{
    const RentTable *table = &prices->rent;
    const RentOffer *best = NULL;
    for (size_t i = 0; i < table->offer_count; i++) {
        const RentOffer *offer = &table->offers[i];
        if (offer->contract != prices->contract)
            continue;
        if (best == NULL) {
            best = offer;
            continue;
        }
        const double far = fabs(offer->year - prices->year);
        const double nearest = fabs(best->year - prices->year);
        const int latest = !(prices->year > 0);
        const int later = offer->year > best->year;
        if (latest ? later : far < nearest || (far <= nearest && !later))
            best = offer;
    }
    return best;
}

double price_of_offer_usd(const RentOffer *offer, double quantile)
{
    const double middle = 0.5;
    if (quantile <= middle)
        return offer->low_usd + (offer->median_usd - offer->low_usd) * quantile / middle;
    return offer->median_usd +
           (offer->high_usd - offer->median_usd) * (quantile - middle) / (1 - middle);
}

/* Dollars a second of something bought for `price`, of which the share `residual` is left. */
static double owned_usd_per_s(const OwnSpec *own, double price, double residual)
{
    const double written_off = price * (1 - residual) / own->useful_s;
    const double interest = price * (1 + residual) / 2 * own->capital_per_s;
    return (written_off + interest) / own->utilisation;
}

static PriceRates owned_rates(const Scenario *scenario)
{
    const OwnSpec *own = &scenario->prices.own;
    const double network_usd = own->node_usd * own->network_share / (1 - own->network_share);
    const double node_gpus = fmax(1, scenario->hardware.node.gpus);
    return (PriceRates){
        .gpus = owned_usd_per_s(own, own->node_usd, own->residual) / node_gpus,
        .network = owned_usd_per_s(own, network_usd, 0),
        .facility = owned_usd_per_s(own, own->facility_usd, 0),
        .storage = owned_usd_per_s(own, own->storage_bytes * own->storage_usd_per_byte, 0),
        .staff = own->staff_usd_per_hour / hour_s / own->utilisation,
    };
}

double price_energy_usd_per_j(const Scenario *scenario)
{
    const PriceSpec *prices = &scenario->prices;
    return prices->basis == PRICE_OWNED || !prices->energy_included ? prices->energy_usd_per_j : 0;
}

PriceRates price_rates(const Scenario *scenario)
{
    const PriceSpec *prices = &scenario->prices;
    const RentOffer *offer = prices->basis == PRICE_TABLE ? price_offer(prices) : NULL;
    PriceRates rates = {.gpus = prices->gpu_hour_usd / hour_s};
    if (offer != NULL)
        rates.gpus = price_of_offer_usd(offer, prices->rent_quantile) / hour_s;
    else if (prices->basis == PRICE_OWNED)
        rates = owned_rates(scenario);

    rates.power_w = scenario->hardware.node.power_w * prices->pue;
    rates.energy = rates.power_w * price_energy_usd_per_j(scenario);
    return rates;
}

double price_gpu_hour_usd(const Scenario *scenario, double gpus)
{
    const PriceRates rates = price_rates(scenario);
    const double nodes = gpus / fmax(1, scenario->hardware.node.gpus);
    return hour_s *
           (rates.gpus + (nodes * (rates.network + rates.facility) + rates.storage + rates.staff) /
                             fmax(1, gpus));
}
